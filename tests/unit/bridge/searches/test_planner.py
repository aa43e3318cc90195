"""What is tried after a refusal: each attempt leaves out one thing that the bridge has added."""

from dataclasses import replace

import pytest

from sidecar.bridge.searches.limits import TOO_DEEP
from sidecar.bridge.searches.planner import NextTry, next_try
from sidecar.bridge.searches.rewrite.plan import TextSearch, plan_search
from tests.support.bindings import an_index

UNKNOWN = b'{"error":{"reason":"unknown query [hybrid]"}}'
PAST = b'{"error":{"reason":"Reached end of search result, increase pagination_depth value"}}'
WRAPPED = b'{"error":{"reason":"hybrid query must be a top level query and cannot be wrapped"}}'


def a_plan(**changes: object) -> TextSearch:
    plan = plan_search({"query": {"match": {"title": "dogs"}}}, (an_index(),), None, {})
    assert isinstance(plan, TextSearch)
    return replace(plan, **changes)


CLUSTER, COMPANION, BRIDGE = a_plan(), a_plan(companion="papers--companion"), a_plan(where="bridge")
DEEP = a_plan(where="bridge", may_move=True)


@pytest.mark.parametrize(
    ("plan", "status", "answer", "expected"),
    [
        pytest.param(CLUSTER, 200, b"", NextTry.NONE, id="an answer"),
        pytest.param(CLUSTER, 400, b"{}", NextTry.AS_SENT, id="the cluster refuses the rewrite"),
        pytest.param(CLUSTER, 400, UNKNOWN, NextTry.FUSE_HERE, id="the cluster has no neural-search"),
        pytest.param(CLUSTER, 400, WRAPPED, NextTry.FUSE_HERE, id="document-level security wraps the query"),
        pytest.param(CLUSTER, 400, PAST, NextTry.EMPTY_PAGE, id="a page behind the last hit"),
        pytest.param(a_plan(is_past_end=True), 400, PAST, NextTry.AS_SENT, id="that the cluster refuses again"),
        pytest.param(CLUSTER, 403, b"", NextTry.NONE, id="these credentials may not search"),
        pytest.param(CLUSTER, 404, b"", NextTry.NONE, id="no such index"),
        pytest.param(CLUSTER, 429, b"", NextTry.NONE, id="the cluster is busy"),
        pytest.param(CLUSTER, 503, b"", NextTry.NONE, id="the cluster is away"),
        pytest.param(COMPANION, 403, b"", NextTry.WITHOUT_COMPANION, id="these credentials may not read the companion"),
        pytest.param(COMPANION, 404, b"", NextTry.WITHOUT_COMPANION, id="the companion is missing"),
        pytest.param(COMPANION, 503, b"", NextTry.WITHOUT_COMPANION, id="the shard of the companion fails"),
        pytest.param(COMPANION, 400, UNKNOWN, NextTry.FUSE_HERE, id="no neural-search, with a companion"),
        pytest.param(COMPANION, 429, b"", NextTry.NONE, id="the cluster is busy, with a companion"),
        pytest.param(BRIDGE, 400, b"", NextTry.AS_SENT, id="a leg is refused"),
        pytest.param(BRIDGE, 403, b"", NextTry.AS_SENT, id="these credentials may not send several searches"),
        pytest.param(DEEP, 403, b"", NextTry.FUSE_THERE, id="nor these, for a page that the cluster could fuse"),
        pytest.param(BRIDGE, 400, TOO_DEEP.encode(), NextTry.NONE, id="a cursor beyond the greatest page"),
        pytest.param(BRIDGE, 503, b"", NextTry.NONE, id="the legs find no shard"),
    ],
)
def test_the_next_try(plan: TextSearch, status: int, answer: bytes, expected: NextTry) -> None:
    assert next_try(plan, status, answer) is expected
