import os
from pathlib import Path

import pytest

from sidecar.embedding.loading.cpus import available_cpus, names_vnni, quota_cpus


@pytest.mark.parametrize(
    ("quota", "period", "cpus"),
    [
        pytest.param("max", "100000", None, id="version 2, no limit"),
        pytest.param("-1", "100000", None, id="version 1, no limit"),
        pytest.param("200000", "100000", 2, id="two CPUs"),
        pytest.param("150000", "100000", 2, id="rounded up"),
        pytest.param("10000", "100000", 1, id="at least one"),
        pytest.param("max", "", None, id="no cgroup"),
    ],
)
def test_quota_cpus(quota: str, period: str, cpus: int | None) -> None:
    assert quota_cpus(quota, period) == cpus


def test_there_is_at_least_one() -> None:
    assert available_cpus() >= 1


@pytest.mark.parametrize(
    ("membership", "quotas"),
    [
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "100000 100000"}, id="version 2, its own"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "90000 100000"}, id="of the cgroup above"),
        pytest.param("0::/a\n", {"a/cpu.max": "800000 100000", "cpu.max": "50000 100000"}, id="of the topmost"),
        pytest.param("0::/../other\n", {"cpu.max": "100000 100000"}, id="outside of what it sees"),
        pytest.param("0::/unknown/here\n", {"cpu.max": "100000 100000"}, id="a path of the machine"),
        pytest.param("1:name=x:/\n0::/a:b\n", {"unified/a:b/cpu.max": "100000 100000"}, id="both versions"),
        pytest.param("1:cpu:/a\n0::/\n", {"cpu/a/cpu.cfs_quota_us": "100000"}, id="version 1, its own"),
        pytest.param("1:cpu,cpuacct:/a\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "100000"}, id="two controllers"),
        pytest.param("", {"cpu/cpu.cfs_quota_us": "100000"}, id="no membership, version 1"),
    ],
)
def test_the_smallest_quota_on_the_path_of_the_process_counts(
    membership: str, quotas: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    (tmp_path / "membership").write_text(membership)
    others = {"cpu/others/cpu.cfs_quota_us": "1", "others/cpu.max": "1 100000"}
    assert available_cpus(root=tmp_path, membership=tmp_path / "membership") == 4
    for name, quota in {**others, **quotas}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{quota}\n")
        (tmp_path / name).with_name("cpu.cfs_period_us").write_text("100000\n")
    assert available_cpus(root=tmp_path, membership=tmp_path / "membership") == 1


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        pytest.param("processor\t: 0\nflags\t\t: fpu avx512f avx512_vnni amx_tile\n", True, id="AVX-512"),
        pytest.param("flags\t\t: fpu avx2 avx_vnni\n", True, id="AVX"),
        pytest.param("flags\t\t: fpu avx2\nmodel name\t: the avx_vnni of tomorrow\n", False, id="only AVX2"),
        pytest.param("Features\t: fp asimd asimddp\n", False, id="ARM"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_names_vnni(cpuinfo: str, expected: bool) -> None:
    assert names_vnni(cpuinfo) == expected
