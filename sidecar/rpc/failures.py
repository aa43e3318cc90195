"""The one table from gRPC statuses to our errors: the inverse of `embedding/statuses.py`."""

from collections.abc import Mapping
from typing import cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

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


def is_lost(code: grpc.StatusCode) -> bool:
    """Whether a call with this status got no answer, so that another server may be asked."""
    return code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def is_of_the_server(error: grpc.aio.AioRpcError) -> bool:
    """Whether the status is from our server and not from gRPC. Our server gives details."""
    return bool(_rich(error).code)


def translate(
    error: grpc.aio.AioRpcError, *, address: str, model: str, expect_space: str, timeout_s: float
) -> SidecarError:
    """The error that a failed call means."""
    return _translate(
        error.code(),
        error.details() or error.code().name,
        _rich(error),
        address=address,
        model=model,
        expect_space=expect_space,
        timeout_s=timeout_s,
    )


def translate_refusal(
    error: pb.StreamError, *, address: str, model: str, expect_space: str, timeout_s: float
) -> SidecarError:
    """The error that the refusal of one request of a stream means."""
    code = next((code for code in grpc.StatusCode if code.value[0] == error.code), grpc.StatusCode.UNKNOWN)
    rich = status_pb2.Status()
    if error.retry_after_ms:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(error.retry_after_ms)
        packed = any_pb2.Any()
        packed.Pack(retry)
        rich.details.append(packed)
    return _translate(
        code, error.message, rich, address=address, model=model, expect_space=expect_space, timeout_s=timeout_s
    )


def _translate(
    code: grpc.StatusCode,
    message: str,
    rich: status_pb2.Status,
    *,
    address: str,
    model: str,
    expect_space: str,
    timeout_s: float,
) -> SidecarError:
    match code:
        case grpc.StatusCode.INVALID_ARGUMENT:
            return _invalid_input(rich, message)
        case grpc.StatusCode.NOT_FOUND:
            known = _reason(rich).get("known", "")
            return ModelNotFound(model, tuple(known.split(",")) if known else ())
        case grpc.StatusCode.FAILED_PRECONDITION:
            return SpaceMismatch(model, expect_space, _reason(rich).get("space", "unknown"))
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            retry = error_details_pb2.RetryInfo()
            if _unpack(rich, retry):
                return EmbedderOverloaded(retry.retry_delay.ToTimedelta().total_seconds())
            return InvalidInput("texts", message)  # gRPC's own limit on messages: another try would fail as well
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(address, timeout_s)
        case grpc.StatusCode.INTERNAL | grpc.StatusCode.UNIMPLEMENTED | grpc.StatusCode.DATA_LOSS:
            return EmbedderMisbehaved(message)
        case _:
            return EmbedderUnavailable(address, message)


def _invalid_input(rich: status_pb2.Status, message: str) -> InvalidInput:
    bad = error_details_pb2.BadRequest()
    if _unpack(rich, bad) and bad.field_violations:
        return InvalidInput(bad.field_violations[0].field, bad.field_violations[0].description)
    return InvalidInput("request", message)


def _reason(rich: status_pb2.Status) -> Mapping[str, str]:
    info = error_details_pb2.ErrorInfo()
    _unpack(rich, info)
    return dict(info.metadata)


def _rich(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    try:
        return rpc_status.from_call(cast(grpc.Call, error)) or status_pb2.Status()
    except ValueError:  # the details are of another status than the call's, so they are not ours
        return status_pb2.Status()


def _unpack(rich: status_pb2.Status, wanted: Message) -> bool:
    """Fill `wanted` from the first detail of its type. False if there is none, and `wanted` stays empty."""
    return any(packed.Unpack(wanted) for packed in rich.details)
