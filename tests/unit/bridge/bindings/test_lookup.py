"""What is remembered of bindings, for whom, and what makes it forgotten."""

import asyncio

import pytest

from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.proxy.identity import Credentials
from sidecar.errors import ClusterUnreachable
from sidecar.ports import Reply
from tests.support.bindings import bound
from tests.support.clusters import WrittenCluster

MAPPED = {"mappings": {"_meta": {"sidecar": bound().to_meta()}, "properties": {"title": {"type": "text"}}}}
ADA, BOB = Credentials({"authorization": "Basic ada"}), Credentials({"authorization": "Basic bob"})


@pytest.fixture
def cluster() -> WrittenCluster:
    return WrittenCluster({"GET /papers": Reply(200, {"papers": MAPPED}), "GET /secret": Reply(403, {})})


@pytest.fixture
def bindings(cluster: WrittenCluster) -> Bindings:
    return Bindings(cluster, ttl_s=60)


async def test_an_expression_is_looked_up_once_for_each_client(bindings: Bindings, cluster: WrittenCluster) -> None:
    for credentials in (ADA, ADA, BOB, BOB):
        (index,) = await bindings.of_search("papers", {}, credentials)
        assert index.binding == bound()

    assert cluster.asked == [("GET /papers", ADA.headers), ("GET /papers", BOB.headers)]


async def test_parameters_that_resolve_an_expression_make_it_another(
    bindings: Bindings, cluster: WrittenCluster
) -> None:
    await bindings.of_search("papers", {}, ADA)
    await bindings.of_search("papers", {"expand_wildcards": "all"}, ADA)
    await bindings.of_search("papers", {"size": "3"}, ADA)

    assert len(cluster.asked) == 2


async def test_a_change_is_seen_at_once(bindings: Bindings, cluster: WrittenCluster) -> None:
    assert len(await bindings.of_search("papers", {}, ADA)) == 1
    cluster.replies["GET /papers"] = Reply(404, {})
    bindings.forget()

    assert await bindings.of_search("papers", {}, ADA) == ()


async def test_an_answer_from_before_a_change_is_not_remembered() -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    class Slow(WrittenCluster):
        async def call(self, method: str, path: str, **options: object) -> Reply:
            asked.set()
            await may_answer.wait()
            return await super().call(method, path)

    cluster = Slow({"GET /papers": Reply(200, {"papers": MAPPED})})
    bindings = Bindings(cluster, ttl_s=60)
    async with asyncio.TaskGroup() as group:
        group.create_task(bindings.of_search("papers", {}, ADA))
        await asked.wait()
        bindings.forget()
        may_answer.set()
    await bindings.of_search("papers", {}, ADA)

    assert len(cluster.asked) == 2


async def test_who_may_not_see_an_index_has_no_binding_there(bindings: Bindings) -> None:
    assert await bindings.of_search("secret", {}, ADA) == ()
    assert bindings.hides("secret", {}, ADA)
    assert not bindings.hides("secret", {}, BOB)


async def test_a_cluster_without_an_answer_is_an_error_and_asked_again(
    bindings: Bindings, cluster: WrittenCluster
) -> None:
    cluster.replies["GET /papers"], answer = None, cluster.replies["GET /papers"]
    with pytest.raises(ClusterUnreachable):
        await bindings.of_search("papers", {}, ADA)
    cluster.replies["GET /papers"] = answer

    assert len(await bindings.of_search("papers", {}, ADA)) == 1


async def test_an_index_that_does_not_exist_is_bound_as_its_template_says(
    bindings: Bindings, cluster: WrittenCluster
) -> None:
    cluster.replies["POST /_index_template/_simulate_index/new"] = Reply(200, {"template": MAPPED})

    assert (await bindings.of_write("new", ADA)).binding == bound()
    assert (await bindings.of_write("other", ADA)).binding is None


async def test_a_pipeline_is_read_once_and_one_that_is_missing_is_none(
    bindings: Bindings, cluster: WrittenCluster
) -> None:
    cluster.replies["GET /_search/pipeline/mine"] = Reply(200, {"mine": {"description": "d"}})

    for _ in range(2):
        assert await bindings.search_pipeline("mine", ADA) == {"description": "d"}
        assert await bindings.search_pipeline("none", ADA) is None
    assert len(cluster.asked) == 2


async def test_an_index_that_a_client_may_not_search_is_absent_for_this_client(
    bindings: Bindings, cluster: WrittenCluster
) -> None:
    cluster.replies["POST /papers/_search"] = Reply(403, {})
    await bindings.check("papers", ADA)

    assert await bindings.of_search("papers", {}, ADA) == ()
    assert len(await bindings.of_search("papers", {}, BOB)) == 1


async def test_an_index_that_a_client_may_search_stays(bindings: Bindings, cluster: WrittenCluster) -> None:
    cluster.replies["POST /papers/_search"] = Reply(200, {})
    await bindings.check("papers", ADA)

    assert len(await bindings.of_search("papers", {}, ADA)) == 1


async def test_credentials_in_the_url_go_with_every_question(bindings: Bindings, cluster: WrittenCluster) -> None:
    carol, dave = (Credentials(parameters={"jwt": name}) for name in ("carol", "dave"))
    await bindings.of_search("papers", {}, carol)
    await bindings.of_search("papers", {}, dave)
    await bindings.of_write("new", carol)
    await bindings.search_pipeline("mine", carol)

    assert [asked["jwt"] for asked in cluster.parameters] == ["carol", "dave", "carol", "carol", "carol"]


CLIENTS = Reply(200, {"aggregations": {"indices": {"buckets": [{"key": "papers", "doc_count": 1}]}}})


async def test_whose_vectors_an_index_holds_is_asked_once_for_each_client(
    bindings: Bindings, cluster: WrittenCluster
) -> None:
    cluster.replies["POST /papers/_search"] = CLIENTS
    for credentials in (ADA, ADA, BOB):
        (index,) = await bindings.of_read("papers", {}, credentials)
        assert index.own_vectors == {"embedding"}

    assert [what for what, _ in cluster.asked] == ["GET /papers", "POST /papers/_search"] * 2


@pytest.mark.parametrize("reply", [Reply(403, {}), Reply(200, {"aggregations": {"indices": {"buckets": []}}})])
async def test_without_documents_of_clients_the_vectors_are_ours(
    bindings: Bindings, cluster: WrittenCluster, reply: Reply
) -> None:
    cluster.replies["POST /papers/_search"] = reply

    (index,) = await bindings.of_read("papers", {}, ADA)

    assert index.own_vectors == frozenset()


async def test_after_a_change_it_is_asked_again(bindings: Bindings, cluster: WrittenCluster) -> None:
    await bindings.of_read("papers", {}, ADA)
    cluster.replies["POST /papers/_search"] = CLIENTS
    bindings.forget()

    (index,) = await bindings.of_read("papers", {}, ADA)

    assert index.own_vectors == {"embedding"}


async def test_nothing_is_asked_about_an_unbound_index(bindings: Bindings, cluster: WrittenCluster) -> None:
    cluster.replies["GET /notes"] = Reply(200, {"notes": {"mappings": {}}})

    await bindings.of_read("notes", {}, ADA)

    assert [what for what, _ in cluster.asked] == ["GET /notes"]
