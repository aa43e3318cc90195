"""How long embedding may hold up a write: the client's `timeout`, in OpenSearch's units, can only shorten it."""

import pytest

from sidecar.bridge.writes.passages import write_budget_s


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        pytest.param("500ms", 0.5, id="milliseconds"),
        pytest.param("30s", 30.0, id="seconds"),
        pytest.param("1m", 60.0, id="minutes-as-long-as-the-default"),
        pytest.param("2m", 60.0, id="never-longer-than-the-default"),
        pytest.param("1h", 60.0, id="hours"),
        pytest.param("1d", 60.0, id="days"),
        pytest.param("2000000000nanos", 2.0, id="nanoseconds"),
        pytest.param("1500000micros", 1.5, id="microseconds"),
        pytest.param("0", 0.0, id="zero-without-a-unit"),
        pytest.param("0s", 0.0, id="zero-seconds"),
        pytest.param("+5s", 5.0, id="a-plus-sign-is-read"),
        pytest.param(" 5 S ", 5.0, id="spaces-and-case-do-not-matter"),
        pytest.param("5M", 60.0, id="M-is-not-minutes"),
        pytest.param("1.5s", 60.0, id="fractions-are-refused-by-the-cluster"),
        pytest.param("5", 60.0, id="a-number-without-a-unit-is-refused-by-the-cluster"),
        pytest.param("-1", 60.0, id="minus-one-is-no-timeout"),
        pytest.param("-5s", 60.0, id="negative"),
        pytest.param("soon", 60.0, id="not-a-time"),
        pytest.param("", 60.0, id="empty"),
        pytest.param("9" * 5_000 + "s", 60.0, id="more-digits-than-a-number-may-have"),
    ],
)
def test_budget_is_the_clients_timeout_where_that_is_shorter(timeout: str, expected: float) -> None:
    assert write_budget_s({"timeout": timeout, "refresh": "true"}, 60.0) == pytest.approx(expected)


def test_budget_without_a_timeout_is_the_default() -> None:
    assert write_budget_s({}, 7.5) == 7.5
