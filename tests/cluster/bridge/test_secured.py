"""Searches and writes on a cluster with the security plugin: nobody gets more through the bridge than without it."""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path

import pytest

from sidecar.bridge.app import serving
from sidecar.bridge.proxy.upstream import Upstream
from sidecar.errors import ConfigurationError
from sidecar.rpc.client import EmbedderClient
from tests.cluster.bridge.securing import (
    AGGREGATIONS,
    DOCUMENTS,
    INDEX,
    NEURAL,
    OPEN,
    QUERY,
    SECURED,
    SPREAD,
    Secured,
    Way,
    as_user,
    ids,
    note,
    settings,
)
from tests.soak.filters import MINILM, Filtered, filled, filtered_searches
from tests.support.between import bridge_settings
from tests.support.embedders import HashEmbedder
from tests.support.http import http, ndjson
from tests.support.provenances import state_of

pytestmark = SECURED

FORMS = [
    pytest.param(QUERY, {}, INDEX, id="text, one shard and a companion"),
    pytest.param(QUERY, {}, SPREAD, id="text, two shards"),
    pytest.param(QUERY, {}, "papers,papers-spread", id="text, two indices"),
    pytest.param(QUERY, {"aggs": AGGREGATIONS}, INDEX, id="text, fused in the bridge"),
    pytest.param(QUERY, {"aggs": AGGREGATIONS}, SPREAD, id="text, fused in the bridge over two shards"),
    pytest.param(NEURAL, {}, INDEX, id="neural"),
    pytest.param({"bool": {"must": [NEURAL], "should": [QUERY]}}, {}, SPREAD, id="neural and text"),
]


@pytest.mark.parametrize("several", [False, True], ids=["_search", "_msearch"])
@pytest.mark.parametrize(("query", "options", "index"), FORMS)
async def test_document_level_security_holds_in_every_form_of_search(
    way: Way, query: object, options: dict[str, object], index: str, several: bool
) -> None:
    body = {"query": query, **options}
    for _ in range(2):  # the second time the bridge knows what the cluster refuses to this user
        if several:
            answer = await way.search("of-a-team", ndjson({}, body), f"/{index}/_msearch")
            found = answer.json["responses"][0]
        else:
            answer = await way.search("of-a-team", body, f"/{index}/_search")
            found = answer.json
        assert answer.status == 200
        assert ids(found) == OPEN
        assert found["_shards"]["failed"] == 0
        assert found["hits"]["total"]["value"] <= len(OPEN) * len(index.split(","))
        for bucket in found.get("aggregations", {"teams": {"buckets": []}})["teams"]["buckets"]:
            assert bucket["key"] == "open"
        assert "lexical" not in note(answer)


async def test_drawn_filters_show_nobody_more_than_his_own_search_with_that_filter(secured: Secured) -> None:
    async with (
        secured.client() as cluster,
        serving(settings(secured), HashEmbedder(MINILM)) as at,
        http(f"http://{at.address}", **as_user("admin", "admin")) as (admin,),
        http(f"http://{at.address}", secured.url, tls_ca=secured.authority, **as_user("of-a-drawn-team")) as both,
        filled(cluster, admin, "drawn") as names,
    ):
        tally = await filtered_searches(Filtered(*both, names), seed=3, count=60)  # type: ignore[call-arg]

    assert tally.wider == []
    assert tally.hits > tally.searches
    assert tally.modes["hybrid"] > tally.searches / 2
    assert tally.modes["neural"] > 0


async def test_a_search_that_the_cluster_cannot_fuse_for_a_user_is_fused_in_the_bridge(way: Way) -> None:
    mine = await way.search("of-a-team", {"query": QUERY})
    others = await way.search("reader", {"query": QUERY})

    assert (note(mine).rpartition("=")[2], note(others).rpartition("=")[2]) == ("bridge", "cluster+companion")
    assert (ids(mine.json), ids(others.json)) == (OPEN, DOCUMENTS.keys())


@pytest.mark.parametrize(
    "user",
    [
        pytest.param("without-abstract", id="a source is hidden"),
        pytest.param("without-vector", id="the vector is hidden"),
        pytest.param("with-masked-abstract-without-vector", id="a source is masked, the vector hidden"),
    ],
)
async def test_who_may_not_read_what_a_vector_was_made_of_searches_by_words_alone(way: Way, user: str) -> None:
    for query in (QUERY, {"match": {"abstract": "kitten sound"}}):
        for index in (INDEX, SPREAD):
            answer = await way.search(user, {"query": query}, f"/{index}/_search")
            status, alone = await way.alone(user, {"query": query}, f"/{index}/_search?_source_excludes=embedding*")

            assert note(answer) == "lexical; reason=hidden_source"
            assert (answer.status, answer.json["hits"]) == (status, alone["hits"])

    by_meaning = await way.search(user, {"query": NEURAL})
    assert by_meaning.status == 400
    assert "may not read" in by_meaning.json["error"]["reason"]


async def test_who_may_not_see_how_an_index_is_bound_searches_as_without_the_bridge(way: Way) -> None:
    answer = await way.search("without-metadata", {"query": QUERY})
    _, alone = await way.alone("without-metadata", {"query": QUERY})

    assert note(answer) == "lexical; reason=hidden_binding"
    assert {**answer.json, "took": 0} == {**alone, "took": 0}


async def test_a_masked_source_is_masked_in_hits_too(way: Way) -> None:
    """That a text is masked shows in no mapping: the vector has to be hidden as well (see docs/search.md)."""
    answer = await way.search("with-masked-abstract", {"query": QUERY})

    shown = {hit["_id"]: hit["_source"]["abstract"] for hit in answer.json["hits"]["hits"]}
    assert all(len(text) == 64 and text != DOCUMENTS[i]["abstract"] for i, text in shown.items())


async def test_without_the_right_to_several_searches_at_once_a_search_stays_lexical(way: Way) -> None:
    body = {"query": QUERY, "aggs": AGGREGATIONS}
    in_bridge = await way.search("without-msearch", body)
    _, alone = await way.alone("without-msearch", body, f"/{INDEX}/_search?_source_excludes=embedding*")
    in_cluster = await way.search("without-msearch", {"query": QUERY})

    assert note(in_bridge) == "lexical; reason=refused"
    assert {**in_bridge.json, "took": 0} == {**alone, "took": 0}
    assert note(in_cluster).endswith("where=cluster+companion")


async def test_without_the_right_to_read_the_companion_a_search_goes_without_it(way: Way) -> None:
    for path, body in ((f"/{INDEX}/_search", {"query": QUERY}), (f"/{INDEX}/_msearch", ndjson({}, {"query": QUERY}))):
        answer = await way.search("without-companion", body, path)
        found = answer.json.get("responses", [answer.json])[0]

        assert answer.status == 200
        assert (ids(found), found["_shards"]["total"]) == (DOCUMENTS.keys(), 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(f"/{INDEX}/_search", {"query": QUERY}, id="text"),
        pytest.param(f"/{INDEX}/_search", {"query": QUERY, "aggs": AGGREGATIONS}, id="text with aggregations"),
        pytest.param(f"/{INDEX}/_search", {"query": {"match_all": {}}}, id="no text"),
        pytest.param(f"/{INDEX}/_msearch", ndjson({}, {"query": QUERY}), id="_msearch"),
        pytest.param(f"/{INDEX}/_count", {"query": QUERY}, id="_count"),
        pytest.param(f"/{INDEX}/_update/1", {"doc": {"title": "x"}}, id="_update"),
        pytest.param(f"/{INDEX}/_doc/1", {"title": "x"}, id="_doc"),
        pytest.param("/_bulk", ndjson({"index": {"_index": INDEX, "_id": "1"}}, {"title": "x"}), id="_bulk"),
    ],
)
async def test_what_a_user_may_not_do_is_refused_in_the_clusters_own_words(way: Way, path: str, body: object) -> None:
    for user in ("stranger", "nobody-known"):
        answer = await way.bridge("POST", path, body, **as_user(user))
        status, alone = await way.alone(user, body, path)

        assert answer.status == status
        said = (
            answer.body.decode()
            if isinstance(alone, str)
            else {**answer.json, **({"took": 0} if "took" in alone else {})}
        )
        assert said == (alone if isinstance(alone, str) else {**alone, **({"took": 0} if "took" in alone else {})})


async def test_wrong_credentials_are_answered_as_the_cluster_answers_them(way: Way) -> None:
    for headers in ({}, as_user("reader", "wrong")):
        answer = await way.bridge("POST", f"/{INDEX}/_search", {"query": QUERY}, **headers)
        greeting = await way.bridge("GET", "/", **headers)

        for found in (answer, greeting):
            assert (found.status, found.body) == (401, b"Unauthorized")
            assert found.headers["WWW-Authenticate"] == 'Basic realm="OpenSearch Security"'


async def test_what_the_bridge_remembers_of_one_user_serves_no_other(way: Way) -> None:
    """Each after each other, so that whatever one leaves behind would be the next one's."""
    expected = {
        "reader": (200, "hybrid"),
        "without-abstract": (200, "lexical; reason=hidden_source"),
        "of-a-team": (200, "hybrid"),
        "stranger": (403, "lexical; reason=hidden_binding"),
    }
    order = ["reader", "without-abstract", "reader", "stranger", "of-a-team", "reader", "without-abstract", "stranger"]
    for user in (*order, *reversed(order)):
        answer = await way.search(user, {"query": {"match": {"abstract": "kitten sound"}}})

        status, said = expected[user]
        assert (answer.status, note(answer)[: len(said)]) == (status, said)
        if user == "of-a-team":
            assert ids(answer.json) <= OPEN


async def test_who_acts_for_another_user_gets_the_rights_of_that_user(way: Way) -> None:
    acts = {**as_user("boss"), "opendistro_security_impersonate_as": "of-a-team"}
    for _ in range(2):  # each after the other: what is remembered of one serves no other
        own = await way.bridge("POST", f"/{INDEX}/_search", {"query": QUERY}, **as_user("boss"))
        acting = await way.bridge.request("POST", f"/{INDEX}/_search", {"query": QUERY}, acts)
        who = await way.bridge.request("GET", "/_plugins/_security/authinfo", None, acts)
        deleted = await way.bridge.request("DELETE", f"/{INDEX}/_doc/none", None, acts)

        assert (ids(own.json), ids(acting.json)) == (DOCUMENTS.keys(), OPEN)
        assert note(acting).endswith("where=bridge")
        assert who.json["user_name"] == "of-a-team"
        assert deleted.status == 403


async def test_what_a_writer_may_not_read_is_marked_pending(way: Way, secured: Secured) -> None:
    index = f"papers-{uuid.uuid4().hex[:8]}"
    async with secured.client() as admin:
        assert (await admin.call("PUT", f"/{index}/_doc/1", body={"title": "Felines", "abstract": "purr"})).ok
        whole = await way.bridge("PUT", f"/{index}/_doc/2", {"title": "Dogs bark"}, **as_user("writer"))
        part = await way.bridge("POST", f"/{index}/_update/1", {"doc": {"title": "Cats"}}, **as_user("writer"))
        lines = ndjson(
            {"update": {"_id": "2"}}, {"doc": {"abstract": "and bite"}}, {"index": {"_id": "3"}}, {"title": "Mice"}
        )
        several = await way.bridge("POST", f"/{index}/_bulk", lines, **as_user("writer"))
        found = await admin.call("GET", f"/{index}/_mget", body={"ids": ["1", "2", "3"]})
        await admin.call("DELETE", f"/{index}")

    assert (whole.status, part.status, several.json["errors"]) == (201, 200, False), (whole, part, several)
    assert (whole.ingested, part.ingested, several.ingested) == ((1, 0), (0, 1), (1, 1))
    stored = found.body["docs"]
    assert [state_of(one["_source"]) for one in stored] == ["pending", "pending", "ok"]


async def test_who_writes_without_seeing_how_an_index_is_bound_leaves_texts_marked_pending(
    way: Way, secured: Secured
) -> None:
    index = f"papers-{uuid.uuid4().hex[:8]}"
    async with secured.client() as admin:
        assert (await admin.call("PUT", f"/{index}")).ok
        written = await way.bridge("PUT", f"/{index}/_doc/1", {"title": "Dogs"}, **as_user("writer-without-metadata"))
        found = await admin.call("GET", f"/{index}/_doc/1")
        await admin.call("DELETE", f"/{index}")

    assert written.status == 201
    assert state_of(found.body["_source"]) == "pending"


async def test_our_own_commands_reach_a_cluster_by_the_authorities_of_the_settings(secured: Secured) -> None:
    environment = {
        "SIDECAR_CLUSTER_URL": secured.url,
        "SIDECAR_CLUSTER_USER": "admin",
        "SIDECAR_CLUSTER_PASSWORD": "admin",
        "SIDECAR_CLUSTER_TLS_CA": str(secured.authority),
    }
    listing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.cli.main", "template", "list", "--json"),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await listing.communicate()

    assert listing.returncode == 0
    assert "papers" in {template["template"] for template in json.loads(printed)}


async def test_a_bridge_that_does_not_trust_the_clusters_certificate_reaches_nothing(
    secured: Secured, system: dict[str, str]
) -> None:
    async with (
        EmbedderClient(system["embedder"]) as embedder,
        serving(bridge_settings(secured.url), embedder) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        answer = await bridge("GET", "/", **as_user("reader"))

    assert (answer.status, answer.json["error"]["reason"]) == (503, "the cluster behind this bridge does not answer")


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_of_authorities_that_cannot_be_read_stops_the_bridge(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"authorities\.pem"):
        async with Upstream("https://127.0.0.1:1", connect_timeout_s=1, tls_ca=str(file)):
            pass
