import pytest

from sidecar.bridge.writes.pace import Pace


@pytest.mark.parametrize(
    ("computed", "seconds", "left_s", "expected"),
    [
        pytest.param(0, 1.0, 60.0, 1, id="nothing is known"),
        pytest.param(100, 1.0, 16.0, 100, id="a sixteenth of the time that is left"),
        pytest.param(100, 1.0, 1.6, 10, id="less near the end"),
        pytest.param(1, 10.0, 60.0, 1, id="at least one"),
        pytest.param(100_000, 1.0, 60.0, 256, id="as many as a message holds"),
        pytest.param(100, 0.0, 60.0, 256, id="no measurable time"),
    ],
)
def test_a_call_takes_a_small_share_of_the_time_that_is_left(
    computed: int, seconds: float, left_s: float, expected: int
) -> None:
    pace = Pace()
    pace.learn(computed, seconds)
    assert pace.texts(left_s) == expected


def test_a_call_that_computed_nothing_teaches_nothing() -> None:
    pace = Pace()
    pace.learn(32, 1.0)
    pace.learn(0, 0.001)
    assert pace.texts(16.0) == 32
