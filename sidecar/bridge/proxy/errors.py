"""Writes the bridge's own answers as OpenSearch would: the shape of errors, `?pretty`, compact JSON."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from sidecar.bridge.proxy import nesting
from sidecar.bridge.proxy.nesting import NestedTooDeeply
from sidecar.bridge.proxy.presentation import indented, wants_pretty
from sidecar.bridge.proxy.signature import SignedRequest
from sidecar.connections import Answer, SlowBody
from sidecar.errors import ClusterTimedOut, ClusterUnreachable, ConnectionLost, ErrorKind, SidecarError
from sidecar.jsontext import dumps

# The one table from kind to status and type. An overload is a 429 and not a 503, because a later attempt is worthwhile:
# after a 503 opensearch-py makes three attempts at once and marks the node as dead.
_STATUSES: Final = {
    ErrorKind.BAD_INPUT: (400, "illegal_argument_exception"),
    ErrorKind.CONFIGURATION: (500, "configuration_exception"),
    ErrorKind.NOT_FOUND: (404, "resource_not_found_exception"),
    ErrorKind.CONFLICT: (409, "model_space_mismatch_exception"),
    ErrorKind.TOO_LARGE: (413, "content_too_long_exception"),
    ErrorKind.OVERLOADED: (429, "rejected_execution_exception"),
    ErrorKind.UNAVAILABLE: (503, "embedder_unavailable_exception"),
    ErrorKind.DEADLINE: (503, "embedder_timeout_exception"),
    ErrorKind.INTERNAL: (500, "exception"),
}


# The same for a request that no handler sees.
_REFUSAL_TYPES: Final = {
    408: "timeout_exception",
    429: "rejected_execution_exception",
    500: "exception",
    503: "rejected_execution_exception",
}


def refusal_type(status: int) -> str:
    """The OpenSearch error type for a request that no handler sees."""
    return _REFUSAL_TYPES.get(status, "illegal_argument_exception")


def error_status(error: SidecarError) -> tuple[int, str]:
    """The HTTP status and the OpenSearch error type for an error of ours."""
    if isinstance(error, SlowBody):
        return 408, refusal_type(408)
    if isinstance(error, ClusterTimedOut):
        return 504, "cluster_timeout_exception"
    if isinstance(error, ClusterUnreachable):
        return 503, "cluster_unreachable_exception"
    if isinstance(error, NestedTooDeeply):
        return 400, nesting.TYPE
    if isinstance(error, SignedRequest):
        return 400, "signed_request_not_rewritable"
    return _STATUSES[error.kind]


def error_reason(error: SidecarError) -> str:
    """The sentence that a client reads about an error of ours. It never names an address behind the bridge."""
    if isinstance(error, ClusterTimedOut):
        return "the cluster behind this bridge did not answer in time; whether this was carried out is not known"
    if isinstance(error, ConnectionLost):
        return "the connection to the cluster behind this bridge was lost; whether this was carried out is not known"
    return "the cluster behind this bridge does not answer" if isinstance(error, ClusterUnreachable) else str(error)


def error_body(status: int, error_type: str, reason: str, **details: object) -> dict[str, object]:
    """An error in the shape that OpenSearch uses. `details` are further members of the error."""
    cause = {"type": error_type, "reason": reason}
    return {"error": {"root_cause": [cause], **cause, **details}, "status": status}


def json_answer(
    body: object,
    *,
    status: int = 200,
    parameters: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An answer of ours. It is indented as OpenSearch does if the parameters ask for `pretty`."""
    text = dumps(body)
    return Answer(
        body=indented(text) if wants_pretty(parameters or {}) else text,
        status=status,
        content_type="application/json",
        charset="UTF-8",
        headers=dict(headers or {}),
    )


def error_answer(error: SidecarError, parameters: Mapping[str, str] | None = None) -> web.Response:
    """The answer to a request that failed with an error of ours."""
    status, error_type = error_status(error)
    reason = error_reason(error)
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    body = error_body(status, error_type, reason)
    if isinstance(error, NestedTooDeeply) and error.around is not None:
        cause = {"type": error_type, "reason": reason}
        body = error_body(status, *error.around, caused_by=cause)
    return json_answer(body, status=status, parameters=parameters, headers=headers)
