"""What is tried again, and how often it is said."""

import pytest
from structlog.testing import capture_logs

from sidecar.errors import (
    ClusterRefused,
    ClusterUnreachable,
    DeadlineExceeded,
    EmbedderOverloaded,
    EmbedderUnavailable,
    InvalidInput,
    ModelNotFound,
    SidecarError,
    SpaceMismatch,
)
from sidecar.repair import patience
from sidecar.repair.patience import Patience, is_temporary, problem_of

AWAY = ClusterUnreachable("http://nowhere", "refused")
GONE = ClusterRefused("a search", 404, "index_not_found_exception: no such index")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(AWAY, True, id="cluster away"),
        pytest.param(ClusterRefused("_bulk", 429, "rejected_execution_exception"), True, id="cluster busy"),
        pytest.param(ClusterRefused("_bulk", 403, "cluster_block_exception: read-only"), True, id="index blocked"),
        pytest.param(ClusterRefused("_bulk", 403, "security_exception: no permissions"), False, id="no permission"),
        pytest.param(GONE, False, id="index gone"),
        pytest.param(EmbedderOverloaded(1), True, id="embedder busy"),
        pytest.param(EmbedderUnavailable("e", "gone"), True, id="embedder away"),
        pytest.param(DeadlineExceeded("e", 5), True, id="embedder slow"),
        pytest.param(SpaceMismatch("m@1", "a", "b"), False, id="another space"),
        pytest.param(ModelNotFound("m@1"), False, id="no such model"),
        pytest.param(InvalidInput("texts", "bad"), False, id="bad input"),
        pytest.param(ValueError("a bug"), False, id="a bug of ours"),
    ],
)
def test_what_may_succeed_later(error: Exception, expected: bool) -> None:
    assert is_temporary(error) is expected


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_PAUSE_S", 0)


class Part:
    def __init__(self, *failures: SidecarError) -> None:
        self.failures = list(failures)

    async def call(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "done"


@pytest.mark.usefixtures("_no_pauses")
async def test_each_change_of_state_is_said_once() -> None:
    patient = Patience(None)

    with capture_logs() as said:
        assert await patient.call("cluster", Part(AWAY, AWAY, AWAY).call) == "done"
        assert await patient.call("cluster", Part().call) == "done"

    assert [line["action"] for line in said] == ["repair_waits", "repair_goes_on"]
    assert {line["part"] for line in said} == {"cluster"}


@pytest.mark.usefixtures("_no_pauses")
async def test_what_is_not_temporary_is_raised_at_once() -> None:
    part = Part(SpaceMismatch("m@1", "a", "b"), AWAY)

    with pytest.raises(SpaceMismatch):
        await Patience(None).call("embedder", part.call)

    assert part.failures == [AWAY]


async def test_patience_ends() -> None:
    with pytest.raises(ClusterUnreachable):
        await Patience(0).call("cluster", Part(AWAY, AWAY).call)


def test_an_error_is_a_problem_of_the_index_unless_that_is_gone_or_everything_is_away() -> None:
    assert problem_of(ModelNotFound("m@1")) == "model [m@1] is not known here"
    assert problem_of(GONE) is None
    with pytest.raises(ClusterUnreachable):
        problem_of(AWAY)
