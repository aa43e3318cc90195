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
