"""That the cluster refuses `hybrid` is learned from searches of ours, and remembered for those whom it concerns."""

import pytest

from sidecar.bridge.proxy.identity import Credentials
from sidecar.bridge.searches.hybrid_support import HybridSupport
from sidecar.jsontext import Json
from sidecar.ports import Reply
from tests.support.bindings import an_index
from tests.support.clusters import WrittenCluster

ADA, BOB = Credentials({"authorization": "ada"}), Credentials({"authorization": "bob"})
PAPERS, NOTES = (an_index("papers"),), (an_index("notes"),)
PROBE = "POST /papers/_search"


def refused(kind: str, reason: str, status: int = 400) -> Reply:
    cause: Json = {"type": kind, "reason": reason}
    return Reply(status, {"error": {"root_cause": [cause], "type": "search_phase_execution_exception"}})


UNKNOWN = refused("parsing_exception", "unknown query [hybrid]")
WRAPPED = refused(
    "illegal_argument_exception", "hybrid query must be a top level query and cannot be wrapped into other queries"
)


async def test_a_cluster_that_does_not_know_hybrid_refuses_it_to_everybody() -> None:
    cluster = WrittenCluster({PROBE: UNKNOWN})
    support = HybridSupport(cluster)
    assert not support.is_refused(PAPERS, ADA)
    await support.ask(PAPERS, ADA)

    assert support.is_refused(PAPERS, ADA)
    assert support.is_refused(NOTES, BOB)
    assert cluster.bodies == [{"size": 0, "query": {"hybrid": {"queries": [{"match_none": {}}]}}}]


async def test_document_level_security_refuses_it_to_one_client_on_some_indices() -> None:
    support = HybridSupport(WrittenCluster({PROBE: WRAPPED}))
    await support.ask(PAPERS, ADA)

    assert support.is_refused(PAPERS, ADA)
    assert not support.is_refused(PAPERS, BOB)
    assert not support.is_refused(NOTES, ADA)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(200, {}), id="an answer"),
        pytest.param(refused("security_exception", "unknown query [hybrid]", 403), id="credentials that say so"),
        pytest.param(refused("illegal_argument_exception", "unrecognized parameter: [unknown query [hybrid]]"),
                     id="a token in the URL that says so"),
        pytest.param(refused("script_exception", "hybrid query must be a top level query"), id="a script that says so"),
        pytest.param(Reply(400, "unknown query [hybrid]"), id="a proxy that says so"),
    ],
)  # fmt: skip
async def test_any_other_answer_changes_nothing(reply: Reply) -> None:
    support = HybridSupport(WrittenCluster({PROBE: reply}))
    await support.ask(PAPERS, ADA)

    assert not support.is_refused(PAPERS, ADA)


async def test_it_is_asked_once_for_each_client_and_never_with_a_line_that_is_too_long() -> None:
    cluster = WrittenCluster({PROBE: Reply(200, {})})
    support = HybridSupport(cluster)
    for client in (ADA, ADA, BOB, BOB):
        await support.ask(PAPERS, client)
    await support.ask((), ADA)
    await support.ask(tuple(an_index(f"{number:0200}") for number in range(11)), ADA)

    assert [headers["authorization"] for _, headers in cluster.asked] == ["ada", "bob"]


async def test_a_cluster_that_is_busy_is_asked_again() -> None:
    cluster = WrittenCluster({PROBE: Reply(429, {})})
    support = HybridSupport(cluster)
    await support.ask(PAPERS, ADA)
    await support.ask(PAPERS, ADA)

    assert len(cluster.asked) == 2
