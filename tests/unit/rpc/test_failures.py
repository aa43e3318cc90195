import grpc
import pytest

from sidecar.contract import embedding_pb2 as pb
from sidecar.errors import (
    DeadlineExceeded,
    EmbedderMisbehaved,
    EmbedderOverloaded,
    EmbedderUnavailable,
    InvalidInput,
    ModelNotFound,
    SidecarError,
    SpaceMismatch,
)
from sidecar.rpc.failures import translate, translate_refusal


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
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="some words")  # type: ignore[call-arg]
    assert type(translate(error, address="host:1", model="m@1", expect_space="", timeout_s=2.0)) is kind


def test_details_of_another_status_are_not_trusted() -> None:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", b"\x08\x05\x12\x03odd"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata, details="some words")  # type: ignore[call-arg]
    translated = translate(error, address="host:1", model="m@1", expect_space="", timeout_s=2.0)
    assert str(translated) == "no vectors from the embedder at host:1: some words"


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        pytest.param(pb.StreamError(code=3), InvalidInput, id="invalid"),
        pytest.param(pb.StreamError(code=5), ModelNotFound, id="unknown model"),
        pytest.param(pb.StreamError(code=8, retry_after_ms=1500), EmbedderOverloaded, id="busy"),
        pytest.param(pb.StreamError(code=9), SpaceMismatch, id="another space"),
        pytest.param(pb.StreamError(code=13), EmbedderMisbehaved, id="a fault"),
        pytest.param(pb.StreamError(code=14, retry_after_ms=1000), EmbedderUnavailable, id="draining"),
        pytest.param(pb.StreamError(code=99), EmbedderUnavailable, id="a code that nobody knows"),
    ],
)
def test_refusals_of_one_request_of_a_stream(refusal: pb.StreamError, kind: type[SidecarError]) -> None:
    error = translate_refusal(refusal, address="host:1", model="m@1", expect_space="", timeout_s=2.0)
    assert type(error) is kind
    if isinstance(error, EmbedderOverloaded):
        assert error.retry_after_s == 1.5
