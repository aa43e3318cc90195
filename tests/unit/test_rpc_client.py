import grpc
import pytest

from sidecar.errors import DeadlineExceeded, EmbedderUnavailable, InvalidInput, SidecarError
from sidecar.rpc.client import translate


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        pytest.param(grpc.StatusCode.UNAVAILABLE, EmbedderUnavailable, id="nobody answers"),
        pytest.param(grpc.StatusCode.CANCELLED, EmbedderUnavailable, id="the server gave up"),
        pytest.param(grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded, id="too late"),
        pytest.param(grpc.StatusCode.RESOURCE_EXHAUSTED, InvalidInput, id="without RetryInfo: a message too large"),
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, InvalidInput, id="without details"),
    ],
)
def test_statuses_that_grpc_itself_makes(code: grpc.StatusCode, kind: type[SidecarError]) -> None:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="some words")
    assert type(translate(error, address="host:1", model="m@1", expect_space="", timeout_s=2.0)) is kind


def test_details_of_another_status_are_not_trusted() -> None:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", b"\x08\x05\x12\x03odd"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata, details="some words")
    translated = translate(error, address="host:1", model="m@1", expect_space="", timeout_s=2.0)
    assert str(translated) == "no vectors from the embedder at host:1: some words"
