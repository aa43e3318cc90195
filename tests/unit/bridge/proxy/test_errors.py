"""Errors of ours in OpenSearch's shape: one row per kind."""

import json

import pytest

from sidecar.bridge.proxy.budget import BridgeOverloaded
from sidecar.bridge.proxy.errors import error_answer, error_status, json_answer
from sidecar.bridge.proxy.nesting import NestedTooDeeply
from sidecar.bridge.proxy.spool import SpoolFull
from sidecar.errors import (
    BodyTooLarge,
    ClusterTimedOut,
    ClusterUnreachable,
    ConnectionLost,
    DeadlineExceeded,
    EmbedderMisbehaved,
    EmbedderOverloaded,
    EmbedderUnavailable,
    ErrorKind,
    InvalidInput,
    ModelNotFound,
    SidecarError,
    SpaceMismatch,
)


@pytest.mark.parametrize(
    ("error", "status", "error_type"),
    [
        (InvalidInput("f", "p"), 400, "illegal_argument_exception"),
        (ModelNotFound("m@1"), 404, "resource_not_found_exception"),
        (SpaceMismatch("m@1", "a", "b"), 409, "model_space_mismatch_exception"),
        (BodyTooLarge(1, "s"), 413, "content_too_long_exception"),
        (BridgeOverloaded(1), 429, "rejected_execution_exception"),
        (EmbedderOverloaded(1), 429, "rejected_execution_exception"),
        (EmbedderUnavailable("h:1", "x"), 503, "embedder_unavailable_exception"),
        (DeadlineExceeded("h:1", 1), 503, "embedder_timeout_exception"),
        (EmbedderMisbehaved("x"), 500, "exception"),
        (ClusterUnreachable("http://secret:9200", "x"), 503, "cluster_unreachable_exception"),
        (ClusterTimedOut("http://secret:9200", "x"), 504, "cluster_timeout_exception"),
        (NestedTooDeeply(), 400, "stream_constraints_exception"),
        (NestedTooDeeply(("parse_exception", "no")), 400, "parse_exception"),
        (SpoolFull("No space left on device"), 429, "rejected_execution_exception"),
    ],
)
def test_status_and_shape(error: SidecarError, status: int, error_type: str) -> None:
    answer = error_answer(error)
    body = json.loads(answer.body)

    assert answer.status == body["status"] == status
    assert body["error"]["type"] == body["error"]["root_cause"][0]["type"] == error_type
    assert ("Retry-After" in answer.headers) == (status in (429, 503))


def test_every_kind_has_a_status() -> None:
    for kind in ErrorKind:
        error = SidecarError()
        error.kind = kind
        assert error_status(error)[0] >= 400


@pytest.mark.parametrize("kind", [ClusterUnreachable, ClusterTimedOut, ConnectionLost])
def test_an_answer_does_not_tell_where_the_cluster_is(kind: type[ClusterUnreachable]) -> None:
    assert b"secret" not in error_answer(kind("http://secret:9200", "x")).body  # type: ignore[operator]


@pytest.mark.parametrize(
    ("parameters", "body"),
    [({}, b'{"a":1}'), ({"pretty": ""}, b'{\n  "a" : 1\n}\n'), ({"pretty": "false"}, b'{"a":1}')],
)
def test_pretty(parameters: dict[str, str], body: bytes) -> None:
    assert json_answer({"a": 1}, parameters=parameters).body == body


def test_an_error_within_another_is_its_cause() -> None:
    body = json.loads(error_answer(NestedTooDeeply(("parse_exception", "no"))).body)

    assert body["error"]["reason"] == "no"
    assert body["error"]["caused_by"] == {
        "type": "stream_constraints_exception",
        "reason": "Document nesting depth (1001) exceeds the maximum allowed "
        "(1000, from `StreamReadConstraints.getMaxNestingDepth()`)",
    }
