"""The one table from our errors to gRPC statuses with rich details. Pure. `rpc/failures.py` has its inverse."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from sidecar.errors import (
    EmbedderOverloaded,
    ErrorKind,
    InvalidInput,
    ModelNotFound,
    SidecarError,
    SpaceMismatch,
)

_CODES: Final = {
    ErrorKind.BAD_INPUT: code_pb2.INVALID_ARGUMENT,
    ErrorKind.NOT_FOUND: code_pb2.NOT_FOUND,
    ErrorKind.CONFLICT: code_pb2.FAILED_PRECONDITION,
    ErrorKind.OVERLOADED: code_pb2.RESOURCE_EXHAUSTED,
    ErrorKind.UNAVAILABLE: code_pb2.UNAVAILABLE,
}

_DOMAIN: Final = "sidecar.embedding.v1"


@dataclass(eq=False)
class InvalidRequest(SidecarError):
    """A request that must be changed, with all its bad fields."""

    violations: tuple[InvalidInput, ...]
    kind = ErrorKind.BAD_INPUT

    def __str__(self) -> str:
        return "; ".join(str(violation) for violation in self.violations)


@dataclass(eq=False)
class NotServing(SidecarError):
    """The server is loading its models, restarting its worker or draining."""

    state: str
    retry_after_s: float = 1.0
    kind = ErrorKind.UNAVAILABLE

    def __str__(self) -> str:
        return f"the embedder is {self.state}"


@dataclass(eq=False)
class Fault(SidecarError):
    """The caller's view of an exception that nobody expected. The log has the details."""

    kind = ErrorKind.INTERNAL

    def __str__(self) -> str:
        return "this is a fault of the server; its log says more"


def status_of(error: SidecarError, request_id: str = "") -> status_pb2.Status:
    """The status that a caller gets for an error of ours, with the id of the call in the log."""
    details = [*_details(error), *([error_details_pb2.RequestInfo(request_id=request_id)] if request_id else [])]
    code = _CODES.get(error.kind, code_pb2.INTERNAL)
    return status_pb2.Status(code=code, message=str(error), details=[_packed(detail) for detail in details])


def retry_after_s(error: SidecarError) -> float:
    """After how many seconds a caller may try again. 0 if the error does not say."""
    return error.retry_after_s if isinstance(error, EmbedderOverloaded | NotServing) else 0.0


def _details(error: SidecarError) -> tuple[Message, ...]:
    match error:
        case InvalidRequest(violations):
            return (error_details_pb2.BadRequest(field_violations=[_violation(v) for v in violations]),)
        case InvalidInput():
            return (error_details_pb2.BadRequest(field_violations=[_violation(error)]),)
        case ModelNotFound(known=known):
            return (_reason("MODEL_NOT_FOUND", known=",".join(known)),)
        case SpaceMismatch(actual=actual):
            return (_reason("SPACE_MISMATCH", space=actual),)
        case EmbedderOverloaded() | NotServing():
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromTimedelta(timedelta(seconds=error.retry_after_s))
            return (retry,)
        case _:
            return ()


def _violation(error: InvalidInput) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.problem)


def _reason(reason: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN, metadata=metadata)


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
