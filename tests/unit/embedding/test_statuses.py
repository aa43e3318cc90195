"""The server's table from errors to statuses and the client's table back are each other's inverse."""

import grpc
import pytest
from google.rpc import code_pb2
from grpc_status import rpc_status

from sidecar.embedding.statuses import InvalidRequest, NotServing, retry_after_s, status_of
from sidecar.errors import (
    ConfigurationError,
    EmbedderMisbehaved,
    EmbedderOverloaded,
    EmbedderUnavailable,
    InvalidInput,
    ModelNotFound,
    SidecarError,
    SpaceMismatch,
)
from sidecar.rpc.failures import translate

TEXTS = InvalidInput("texts", "must hold at least one text")
DIMENSION = InvalidInput("dimension", "must be at most 8, not 9")


def seen_by_a_client(error: SidecarError) -> SidecarError:
    status = rpc_status.to_status(status_of(error))
    metadata = grpc.aio.Metadata(*status.trailing_metadata)
    call = grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), metadata, details=status.details)  # type: ignore[call-arg]
    return translate(call, address="host:1", model="m@1", expect_space="sha256:b", timeout_s=2.0)


@pytest.mark.parametrize(
    ("error", "code", "translated"),
    [
        pytest.param(TEXTS, "INVALID_ARGUMENT", TEXTS, id="one bad field"),
        pytest.param(InvalidRequest((DIMENSION, TEXTS)), "INVALID_ARGUMENT", DIMENSION, id="several bad fields"),
        pytest.param(
            ModelNotFound("m@1", ("a@1", "b@1")), "NOT_FOUND", ModelNotFound("m@1", ("a@1", "b@1")), id="unknown model"
        ),
        pytest.param(ModelNotFound("m@1"), "NOT_FOUND", ModelNotFound("m@1"), id="unknown model, none is loaded"),
        pytest.param(
            SpaceMismatch("m@1", "sha256:b", "sha256:a"),
            "FAILED_PRECONDITION",
            SpaceMismatch("m@1", "sha256:b", "sha256:a"),
            id="another space",
        ),
        pytest.param(EmbedderOverloaded(1.5), "RESOURCE_EXHAUSTED", EmbedderOverloaded(1.5), id="full queue"),
        pytest.param(EmbedderOverloaded(0.0), "RESOURCE_EXHAUSTED", EmbedderOverloaded(0.0), id="full queue, no delay"),
        pytest.param(
            NotServing("draining"),
            "UNAVAILABLE",
            EmbedderUnavailable("host:1", "the embedder is draining"),
            id="draining",
        ),
        pytest.param(ConfigurationError("it broke"), "INTERNAL", EmbedderMisbehaved("it broke"), id="anything else"),
    ],
)
def test_an_error_survives_the_wire(error: SidecarError, code: str, translated: SidecarError) -> None:
    assert status_of(error).code == code_pb2.Code.Value(code)
    seen = seen_by_a_client(error)
    assert type(seen) is type(translated)
    assert str(seen) == str(translated)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        pytest.param(EmbedderOverloaded(2.5), 2.5, id="overloaded"),
        pytest.param(NotServing("draining", 1.0), 1.0, id="draining"),
        pytest.param(TEXTS, 0.0, id="no use in trying again"),
    ],
)
def test_retry_after(error: SidecarError, seconds: float) -> None:
    assert retry_after_s(error) == seconds
