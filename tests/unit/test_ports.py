"""An answer of the cluster: its body where the caller needs it, and its own words where it refuses."""

import pytest

from sidecar.errors import ClusterRefused
from sidecar.ports import Reply


def test_the_body_of_an_answer_that_is_needed() -> None:
    assert Reply(201, {"count": 3}).require("_count") == {"count": 3}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        pytest.param(404, {"error": {"type": "index_not_found_exception", "reason": "no such index"}},
                     "index_not_found_exception: no such index", id="OpenSearch's shape"),
        pytest.param(405, {"error": "method not allowed"}, "method not allowed", id="only a sentence"),
        pytest.param(502, "<html>", "<html>", id="a proxy's page"),
        pytest.param(403, None, "None", id="no body"),
        pytest.param(304, {}, "{}", id="not a success"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_call_the_status_and_the_reason(status: int, body: object, reason: str) -> None:
    with pytest.raises(ClusterRefused) as refused:
        Reply(status, body).require("GET /x")

    assert (refused.value.call, refused.value.status, refused.value.reason) == ("GET /x", status, reason)
