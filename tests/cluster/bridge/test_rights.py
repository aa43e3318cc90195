"""On a cluster with the security plugin texts are embedded for those who may write them, and for nobody else."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from sidecar.bridge.app import serving
from sidecar.opensearch.client import OpenSearchCluster
from tests.cluster.bridge.securing import DOCUMENTS, INDEX, SECURED, Secured, as_user, settings
from tests.soak.filters import MINILM
from tests.support.embedders import HashEmbedder
from tests.support.http import Http, http, ndjson

pytestmark = SECURED

LINES = ndjson(*(line for i, source in DOCUMENTS.items() for line in ({"index": {"_id": i}}, source)))
UPDATES = ndjson({"update": {"_id": "1"}}, {"doc": {"title": "Cats"}})
SCRIPTS = ndjson({"update": {"_id": "1"}}, {"script": "ctx._source.title = 'Cats'", "upsert": {"title": "New cats"}})


@dataclass(frozen=True, slots=True)
class Watched:
    """A bridge whose embedder notes what it is asked for, and an index for the test alone."""

    bridge: Http
    direct: Http
    admin: OpenSearchCluster
    embedder: HashEmbedder
    index: str

    @property
    def texts(self) -> int:
        return sum(map(len, self.embedder.asked))


@asynccontextmanager
async def watching(secured: Secured, **options: object) -> AsyncIterator[Watched]:
    embedder = HashEmbedder(MINILM)
    index = f"papers-{uuid.uuid4().hex[:8]}"
    async with (
        secured.client() as admin,
        serving(settings(secured, **options), embedder) as at,
        http(f"http://{at.address}", secured.url, tls_ca=secured.authority) as (bridge, direct),
    ):
        assert (await admin.call("PUT", f"/{index}", body={"aliases": {f"papers-alias-{index[7:]}": {}}})).ok
        written = await bridge("PUT", f"/{index}/_doc/1", DOCUMENTS["1"], **as_user("admin", "admin"))
        assert written.status == 201
        embedder.asked.clear()
        yield Watched(bridge, direct, admin, embedder, index)
        await admin.call("DELETE", f"/{index}")


@pytest.fixture
async def watched(secured: Secured) -> AsyncIterator[Watched]:
    async with watching(secured) as made:
        yield made


@pytest.mark.parametrize("user", ["reader", "of-a-team", "stranger", "nobody-known"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "_bulk", LINES, id="bulk"),
        pytest.param("POST", "_bulk", UPDATES, id="updates in a bulk"),
        pytest.param("POST", "_bulk", SCRIPTS, id="scripts in a bulk"),
        pytest.param("PUT", "_doc/7", DOCUMENTS["1"], id="_doc"),
        pytest.param("PUT", "_create/7", DOCUMENTS["1"], id="_create"),
        pytest.param("POST", "_update/1", {"doc": {"title": "Cats"}}, id="_update"),
    ],
)
async def test_who_may_not_write_spends_nothing_and_reads_the_clusters_own_refusal(
    watched: Watched, user: str, method: str, path: str, body: object
) -> None:
    for _ in range(2):
        through = await watched.bridge(method, f"/{watched.index}/{path}", body, **as_user(user))
        direct = await watched.direct(method, f"/{watched.index}/{path}", body, **as_user(user))

        assert through.status in (401, 403)
        assert (through.status, through.body) == (direct.status, direct.body)
    assert watched.texts == 0


async def test_who_may_write_does_and_the_questions_write_nothing(watched: Watched) -> None:
    first = await watched.bridge("POST", f"/{watched.index}/_bulk", LINES, **as_user("writer"))
    second = await watched.bridge("PUT", f"/{watched.index}/_doc/9", DOCUMENTS["2"], **as_user("writer"))

    assert first.ingested == (4, 0)
    assert second.ingested == (1, 0)
    await watched.admin.call("POST", f"/{watched.index}/_refresh")
    found = await watched.admin.call("GET", f"/{watched.index}/_count")
    assert found.body["count"] == 5


@pytest.mark.parametrize("user", ["writer-of-a-team", "indexer"])
async def test_who_may_index_and_not_update_indexes_with_vectors(watched: Watched, user: str) -> None:
    path = f"/{watched.index}/_bulk"
    whole = await watched.bridge("POST", path, LINES, **as_user(user))
    one = await watched.bridge("PUT", f"/{watched.index}/_doc/8", {"title": "Mice", "team": "open"}, **as_user(user))
    assert (whole.status, whole.json["errors"], whole.ingested) == (200, False, (4, 0))
    assert (one.status, one.ingested) == (201, (1, 0))
    watched.embedder.asked.clear()

    for update in (UPDATES, SCRIPTS):
        through = await watched.bridge("POST", path, update, **as_user(user))
        direct = await watched.direct("POST", path, update, **as_user(user))
        assert through.status == direct.status
        assert refusals(through.json) == refusals(direct.json)
        assert refusals(direct.json) != []
    assert watched.texts == 0


def refusals(answer: dict) -> list:
    return [answer["error"]] if "error" in answer else [item["update"].get("error") for item in answer["items"]]


@pytest.mark.parametrize("body", [LINES, UPDATES, SCRIPTS], ids=["documents", "updates", "scripts"])
async def test_who_may_send_no_bulk_gets_none_in_pieces(watched: Watched, body: bytes) -> None:
    user, path = as_user("writer-without-bulk"), f"/{watched.index}/_bulk"
    through = await watched.bridge("POST", path, body, **user)
    direct = await watched.direct("POST", path, body, **user)
    one = f"/{watched.index}/_update/1"
    update = await watched.bridge("POST", one, {"doc": {"title": "Cats"}}, **user)

    assert (through.status, through.body) == (direct.status, direct.body)
    assert direct.status == 403
    assert update.body == (await watched.direct("POST", one, {"doc": {"title": "Cats"}}, **user)).body
    assert watched.texts == 0


async def test_of_a_bulk_on_two_indices_only_the_texts_of_the_allowed_one_are_embedded(watched: Watched) -> None:
    alias = f"papers-alias-{watched.index[7:]}"
    lines = ndjson(
        {"index": {"_index": alias, "_id": "2"}}, {"title": "Dogs bark"},
        {"index": {"_index": INDEX, "_id": "2"}}, {"title": "Not for me"},
    )  # fmt: skip
    answer = await watched.bridge("POST", "/_bulk", lines, **as_user("writer-of-an-alias"))
    direct = await watched.direct("POST", "/_bulk", lines, **as_user("writer-of-an-alias"))

    statuses = [item["index"]["status"] for item in answer.json["items"]]
    assert statuses == [201, 403]
    assert [item["index"]["status"] for item in direct.json["items"]] == [200, 403]
    assert watched.embedder.asked == [("Dogs bark",)]


async def test_a_blocked_index_is_no_matter_of_rights(watched: Watched) -> None:
    blocked = {"index.blocks.write": True}
    assert (await watched.admin.call("PUT", f"/{watched.index}/_settings", body=blocked)).ok
    answer = await watched.bridge("PUT", f"/{watched.index}/_doc/2", DOCUMENTS["2"], **as_user("writer"))
    assert (answer.status, answer.json["error"]["type"]) == (403, "cluster_block_exception")
    assert (await watched.admin.call("PUT", f"/{watched.index}/_settings", body={"index.blocks.write": False})).ok

    later = await watched.bridge("PUT", f"/{watched.index}/_doc/2", DOCUMENTS["2"], **as_user("writer"))

    assert (later.status, later.ingested) == (201, (1, 0))


async def test_a_right_that_is_given_counts_at_once(watched: Watched) -> None:
    name = f"newcomer-{uuid.uuid4().hex[:8]}"
    user = {"password": "Aa-" + uuid.uuid4().hex, "opendistro_security_roles": ["reader"]}
    path = f"/_plugins/_security/api/internalusers/{name}"
    assert (await watched.admin.call("PUT", path, body=user)).ok
    before = await watched.bridge("PUT", f"/{watched.index}/_doc/3", DOCUMENTS["3"], **as_user(name, user["password"]))
    assert (await watched.admin.call("PUT", path, body={**user, "opendistro_security_roles": ["writer"]})).ok
    after = await watched.bridge("PUT", f"/{watched.index}/_doc/3", DOCUMENTS["3"], **as_user(name, user["password"]))
    await watched.admin.call("DELETE", path)

    assert (before.status, after.status, after.ingested) == (403, 201, (1, 0))


async def test_no_index_is_made_by_a_question(watched: Watched) -> None:
    absent = f"{watched.index}-absent"
    for user in ("reader", "writer"):
        await watched.bridge("POST", f"/{absent}/_update/1", {"doc": {"title": "x"}}, **as_user(user))
    await watched.bridge("PUT", f"/{absent}/_doc/1", {"title": "x"}, **as_user("reader"))

    assert (await watched.admin.call("HEAD", f"/{absent}")).status == 404


EMBED = "/_plugins/_sidecar/embed"


async def test_only_who_may_write_a_bound_index_has_texts_embedded(watched: Watched) -> None:
    named = {"texts": ["a"], "index": watched.index}
    for user, body, status in (
        ("reader", named, 403),
        ("reader", {"texts": ["a"]}, 403),
        ("reader", {"texts": ["a"], "index": "papers*"}, 403),
        ("reader", {"texts": ["a"], "index": f"{watched.index}-absent"}, 403),
        ("stranger", named, 403),
        ("nobody-known", named, 401),
    ):
        answer = await watched.bridge("POST", EMBED, body, **as_user(user))
        assert answer.status == status, (user, body)
        assert status == 401 or answer.json["error"]["type"] == "security_exception"
    assert watched.texts == 0

    assert (await watched.bridge("POST", EMBED, named, **as_user("writer"))).status == 200
    assert (await watched.bridge("POST", EMBED, {"texts": ["a"]}, **as_user("admin", "admin"))).status == 200


async def test_roles_can_be_named_that_have_texts_embedded(secured: Secured) -> None:
    async with watching(secured, embed_roles=["reader", "other"]) as watched:
        reader = await watched.bridge("POST", EMBED, {"texts": ["a"]}, **as_user("reader"))
        writer = await watched.bridge("POST", EMBED, {"texts": ["a"], "index": watched.index}, **as_user("writer"))
        acting = {**as_user("boss"), "opendistro_security_impersonate_as": "of-a-team"}
        other = await watched.bridge.request("POST", EMBED, {"texts": ["a"]}, acting)

    assert (reader.status, writer.status, other.status) == (200, 403, 403)
    assert "bridge.embed_roles" in writer.json["error"]["reason"]
