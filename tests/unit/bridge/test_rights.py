"""What an answer of the cluster says about the right to write, and what is asked and remembered."""

import re

import pytest

from sidecar.bridge.bindings.indices import WriteTarget
from sidecar.bridge.proxy.identity import Credentials
from sidecar.bridge.rights import Rights, Verdict, verdict
from sidecar.jsontext import Json
from sidecar.ports import Reply
from tests.support.clusters import WrittenCluster

ADA, BOB = Credentials({"authorization": "ada"}, {"jwt": "a"}), Credentials({"authorization": "bob"})
AUTHINFO = "GET /_plugins/_security/authinfo"
PAPERS = WriteTarget("papers", asked_as="papers")
NO_PLUGIN = Reply(400, {"error": f"no handler found for uri [{AUTHINFO[4:]}] and method [GET]"})


def error(kind: str, reason: str = "") -> Json:
    return {"error": {"root_cause": [{"type": kind}], "type": kind, "reason": reason}}


def item(status: int, kind: str, action: str = "index") -> Reply:
    return Reply(200, {"items": [{action: {"status": status, "error": {"type": kind}}}]})


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(Reply(409, error("version_conflict_engine_exception")), Verdict.MAY, id="a conflict"),
        pytest.param(Reply(404, error("document_missing_exception")), Verdict.MAY, id="no such document"),
        pytest.param(Reply(403, error("cluster_block_exception")), Verdict.MAY, id="a block"),
        pytest.param(Reply(400, error("mapper_parsing_exception")), Verdict.MAY, id="a document without a time"),
        pytest.param(item(409, "version_conflict_engine_exception"), Verdict.MAY, id="a conflict in a bulk"),
        pytest.param(item(403, "cluster_block_exception"), Verdict.MAY, id="a block in a bulk"),
        pytest.param(Reply(403, error("security_exception")), Verdict.MAY_NOT, id="no right"),
        pytest.param(item(403, "security_exception"), Verdict.MAY_NOT, id="no right in a bulk"),
        pytest.param(Reply(500, error("security_exception")), Verdict.MAY_NOT, id="no updates with hidden fields"),
        pytest.param(Reply(401, "Unauthorized"), Verdict.MAY_NOT, id="nobody known"),
        pytest.param(Reply(400, error("illegal_argument_exception", "request [/papers] contains unrecognized parameter")),
                     Verdict.MAY_NOT, id="the question was not put"),
        pytest.param(Reply(429, error("circuit_breaking_exception")), Verdict.UNKNOWN, id="busy"),
        pytest.param(item(503, "unavailable_shards_exception"), Verdict.UNKNOWN, id="no shard in a bulk"),
        pytest.param(Reply(502, "a proxy"), Verdict.UNKNOWN, id="no answer of the cluster"),
    ],
)  # fmt: skip
def test_what_an_answer_means(reply: Reply, expected: Verdict) -> None:
    assert verdict(reply) is expected


def questions(cluster: WrittenCluster) -> list[str]:
    return [re.sub("[0-9a-f]{32}", "ID", asked) for asked, _ in cluster.asked]


async def test_without_the_security_plugin_nobody_is_asked_about_and_the_plugin_once() -> None:
    cluster = WrittenCluster({AUTHINFO: NO_PLUGIN})
    rights = Rights(cluster)

    assert [await rights.refusal(PAPERS, client) for client in (ADA, BOB)] == [None, None]
    assert cluster.asked == [(AUTHINFO, {})]  # nothing of a client goes with it


@pytest.mark.parametrize("reply", [Reply(401, "Unauthorized"), Reply(200, {}), Reply(400, {"error": "too long"})])
async def test_any_other_answer_means_that_rights_are_to_be_asked_for(reply: Reply) -> None:
    assert await Rights(WrittenCluster({AUTHINFO: reply})).is_secured()


@pytest.mark.parametrize(
    ("options", "question", "body"),
    [
        ({}, "PUT /papers/_doc/ID", {}),
        ({"is_update": True}, "POST /papers/_bulk", b'{"update":'),
        ({"in_bulk": True}, "POST /papers/_bulk", b'{"index":'),
        ({"in_bulk": True, "is_update": True}, "POST /papers/_bulk", b'{"update":'),
    ],
)
async def test_a_permission_is_remembered_for_a_client_an_index_and_a_kind_of_write(
    options: dict[str, bool], question: str, body: object
) -> None:
    cluster = WrittenCluster({AUTHINFO: Reply(401, None)}, otherwise=Reply(409, error("version_conflict")))
    rights = Rights(cluster)
    for client in (ADA, ADA, BOB):
        assert await rights.refusal(PAPERS, client, **options) is None
    assert questions(cluster) == [AUTHINFO, question, question]
    assert cluster.parameters[1]["jwt"] == "a"
    asked = cluster.bodies[1]
    assert asked.startswith(body) if isinstance(asked, bytes) else asked == body
    condition = str(asked) if isinstance(asked, bytes) else str(cluster.parameters[1])
    assert "if_seq_no" in condition
    assert "if_primary_term" in condition

    await rights.refusal(PAPERS, ADA, is_update=not options.get("is_update"))
    await rights.refusal(WriteTarget("notes", asked_as="notes"), ADA, **options)

    assert len(cluster.asked) == 5


async def test_a_refusal_is_asked_for_again_and_an_answer_that_says_nothing_too() -> None:
    refused = Reply(403, error("security_exception"))
    cluster = WrittenCluster({AUTHINFO: Reply(401, None)}, otherwise=refused)
    rights = Rights(cluster)

    assert [await rights.refusal(PAPERS, ADA) for _ in range(2)] == [refused, refused]
    cluster.otherwise = Reply(503, None)
    assert [await rights.refusal(PAPERS, ADA) for _ in range(2)] == [None, None]
    assert len(cluster.asked) == 5


async def test_an_index_that_does_not_exist_is_not_asked_for() -> None:
    cluster = WrittenCluster({AUTHINFO: Reply(401, None)})

    assert await Rights(cluster).refusal(WriteTarget("papers"), ADA) is None
    assert cluster.asked == []


async def test_the_routing_of_an_alias_goes_with_the_question() -> None:
    cluster = WrittenCluster({AUTHINFO: Reply(401, None)})
    rights = Rights(cluster)
    await rights.refusal(WriteTarget("papers-1", routing="r", asked_as="papers"), ADA)
    await rights.refusal(PAPERS, BOB)

    assert cluster.parameters[1]["routing"] == "r"
    assert len(cluster.parameters[2]["routing"]) == 32


async def test_the_roles_of_a_client() -> None:
    rights = Rights(WrittenCluster({AUTHINFO: Reply(200, {"roles": ["reader", 1]})}))

    assert await rights.roles(ADA) == {"reader"}
    assert await Rights(WrittenCluster({AUTHINFO: Reply(401, None)})).roles(ADA) == frozenset()


@pytest.mark.parametrize(("plugin", "path"), [(NO_PLUGIN, "GET /"), (None, AUTHINFO)], ids=["open", "secured"])
async def test_whom_the_cluster_lets_in(plugin: Reply | None, path: str) -> None:
    cluster = WrittenCluster({path: Reply(401, "no"), **({AUTHINFO: plugin} if plugin else {})})
    rights = Rights(cluster)
    assert await rights.authorise(ADA) == Reply(401, "no")
    cluster.replies[path] = Reply(200, {})
    assert await rights.authorise(ADA) is None
    cluster.replies[path] = Reply(401, "no")

    assert await rights.authorise(ADA) is None
    assert await rights.authorise(BOB) == Reply(401, "no")
