import pytest

from sidecar.embedding.cpus import available_cpus, quota_cpus


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
