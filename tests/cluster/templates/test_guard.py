"""The guard on a real node: the same hash as Python's, and no vector that does not belong to its text."""

import asyncio
import hashlib
import json
import sys
import uuid
from itertools import chain

import pytest

from sidecar import jsontext
from sidecar.model import Binding, SpaceType
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.provenance import is_blank, provenance_hash, source_text
from sidecar.templates.apply import apply, delete
from sidecar.templates.compiler import compile_guard, compile_template
from tests.support.folders import GOLDEN
from tests.support.provenances import state_of
from tests.support.templates import TINY

CASES = json.loads((GOLDEN / "provenance.json").read_text("ascii"))
BASE = {
    "mappings": {
        "properties": {"title": {"type": "text"}, "abstract": {"type": "text"}, "number": {"type": "unsigned_long"}}
    },
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
}
VECTOR = [0.5, 0.25]


class Papers:
    """One document of an index that a template over title and abstract has made."""

    def __init__(self, cluster, compiled, name):
        self.cluster = cluster
        self.index = compiled.names.first_index
        self.binding = compiled.binding.fields["embedding"]
        self.name = name

    async def call(self, method, path, body=None):
        reply = await self.cluster.call(method, path, params={"refresh": "true"}, body=body)
        assert reply.ok, reply.reason
        return reply.body

    async def put(self, document):
        await self.call("PUT", f"/{self.index}/_doc/{self.name}", document)

    async def source(self, index=None):
        reply = await self.cluster.call("GET", f"/{index or self.index}/_doc/{self.name}")
        return reply.body["_source"]

    @property
    def query(self):
        return {"ids": {"values": [self.name]}}

    def provenance(self, document, **changes):
        return {"hash": self.hash(document), "about": {"model": "tiny@1", "backend": "torch"}} | changes

    def pending(self, document):
        return {"hash": self.hash(document), "pending": 1}

    def hash(self, document):
        return provenance_hash(source_text(document, self.binding), self.binding)

    def proven(self, document, **changes):
        return {**document, "embedding": VECTOR, "embedding_meta": self.provenance(document, **changes)}


@pytest.fixture(scope="module")
def template(node_url):
    """A template with its first index, for all tests of this module."""
    name = f"guard-{uuid.uuid4().hex[:10]}"
    compiled = compile_template(name, TINY, BASE, index_patterns=[f"{name}-*"], source=["title", "abstract"])

    async def set_up():
        async with OpenSearchCluster(node_url) as cluster:
            await apply(cluster, compiled, create=True)

    async def tear_down():
        async with OpenSearchCluster(node_url) as cluster:
            await cluster.call("DELETE", f"/{name}-*")
            await delete(cluster, name)

    asyncio.run(set_up())
    yield compiled
    asyncio.run(tear_down())


@pytest.fixture
def papers(cluster, template, unique):
    return Papers(cluster, template, unique)


def binding_of(case):
    return Binding(
        field="embedding",
        model="some-model@1",
        space=case["space"],
        dimension=2,
        space_type=SpaceType.L2,
        source=tuple(case["source"]),
        join=case["join"],
        chunking=case["chunking"],
    )


def guard_of(case, unique):
    guard = compile_guard(unique, [binding_of(case)])
    return f"{unique}-{hashlib.sha256(jsontext.canonical(guard)).hexdigest()[:8]}", guard


async def test_the_node_agrees_with_every_golden_case(cluster, unique):
    guards = {}
    for case in CASES:
        name, guard = guard_of(case, unique)
        if name not in guards:
            assert (await cluster.call("PUT", f"/_ingest/pipeline/{name}", body=guard)).ok
        guards[name] = guard
    # Cases contradict each other in their types: nothing of them is mapped, all is kept in _source.
    assert (await cluster.call("PUT", f"/{unique}", body={"mappings": {"enabled": False}})).ok
    expected = {}
    lines = []
    for case in CASES:
        name, _ = guard_of(case, unique)
        proven = {"embedding": VECTOR, "embedding_meta": {"hash": case["hash"] or "", "about": {}}}
        pending = {"embedding_meta": {"hash": case["hash"], "pending": 1}}
        expected[f"{case['id']} (no vector)"] = pending if case["text"] else {}
        expected[f"{case['id']} (proven)"] = proven if case["text"] else {}  # type: ignore[assignment]
        for kind, added in (("no vector", {}), ("proven", proven)):
            lines += [{"index": {"_id": f"{case['id']} ({kind})", "pipeline": name}}, case["document"] | added]

    body = b"".join(chain.from_iterable((jsontext.dumps(line), b"\n") for line in lines))
    written = await cluster.call("POST", f"/{unique}/_bulk", body=body, params={"refresh": "true"})
    found = await cluster.call(
        "POST", f"/{unique}/_mget", params={"_source_includes": "embedding,embedding_meta"}, body={"ids": [*expected]}
    )
    for path in (f"/{unique}", *(f"/_ingest/pipeline/{name}" for name in guards)):
        await cluster.call("DELETE", path)

    assert [item["index"].get("error") for item in written.body["items"] if "error" in item["index"]] == []
    assert {document["_id"]: document["_source"] for document in found.body["docs"]} == expected


async def test_the_node_agrees_about_every_blank_character(cluster, template):
    (guard,) = (body for path, body in template.documents.items() if "/_ingest/pipeline/" in path)
    source = guard["processors"][0]["script"]["source"]
    script = (
        source[source.index("boolean isBlank") : source.index("boolean isProven")]
        + """
        List found = new ArrayList();
        for (int code = (int) params.from; code < (int) params.to; code++) {
          if (isBlank(new StringBuilder().appendCodePoint(code).toString())) { found.add(code); }
        }
        return found.toString();"""
    )
    found = []
    for start in range(0, sys.maxunicode + 1, 0x40000):  # painless loops a million times at most
        given = {"from": start, "to": min(start + 0x40000, sys.maxunicode + 1)}
        body = {"script": {"source": script, "params": given}}
        reply = await cluster.call("POST", "/_scripts/painless/_execute", body=body)
        assert reply.ok, reply.reason
        found += json.loads(reply.body["result"])

    assert found == [code for code in range(sys.maxunicode + 1) if is_blank(chr(code))]


async def test_a_text_without_vector_is_pending(papers):
    await papers.put({"title": "a", "abstract": "b"})

    assert await papers.source() == {
        "title": "a",
        "abstract": "b",
        "embedding_meta": papers.pending({"title": "a", "abstract": "b"}),
    }


@pytest.mark.parametrize("state", [{}, {"client": 1}], ids=["ok", "client"])
async def test_a_proven_vector_is_kept(papers, state):
    document = papers.proven({"title": "a"}, **state)
    await papers.put(document)

    assert await papers.source() == document


@pytest.mark.parametrize(
    "provenance",
    [
        pytest.param(None, id="none"),
        pytest.param({}, id="empty"),
        pytest.param("ok", id="no object"),
        pytest.param([{"hash": "of the text", "about": {}}], id="array"),
        pytest.param({"hash": "of the text", "pending": 1}, id="pending"),
        pytest.param({"hash": "of the text", "about": "ok"}, id="unknown state"),
        pytest.param({"hash": "of the text"}, id="no state"),
        pytest.param({"hash": "0" * 64, "about": {}}, id="of another text"),
        pytest.param({"hash": ["of the text"], "about": {}}, id="hash of another type"),
    ],
)
async def test_a_vector_without_right_provenance_is_taken_out(papers, provenance):
    text = {"title": "a"}
    right = json.loads(json.dumps(provenance).replace("of the text", papers.hash(text)))

    await papers.put({**text, "embedding": VECTOR, "embedding_meta": right})

    assert await papers.source() == {**text, "embedding_meta": papers.pending(text)}


async def test_a_right_provenance_without_vector_is_pending(papers):
    text = {"title": "a"}
    await papers.put({**text, "embedding_meta": papers.provenance(text)})

    assert await papers.source() == {**text, "embedding_meta": papers.pending(text)}


async def test_provenance_in_dotted_keys_is_taken_out(papers):
    text = {"title": "a"}
    await papers.put({**text, "embedding_meta.hash": papers.hash(text), "embedding_meta.pending": 1})

    assert await papers.source() == {**text, "embedding_meta": papers.pending(text)}


async def test_a_document_without_text_is_untouched(papers):
    await papers.put({"year": 1999, "title": ""})

    assert await papers.source() == {"year": 1999, "title": ""}


async def test_a_vector_without_text_is_taken_out(papers):
    await papers.put(papers.proven({"title": ""}))

    assert await papers.source() == {"title": ""}


async def test_an_explicit_null_stays(papers):
    await papers.put({"title": None, "embedding": None, "embedding_meta": None})

    assert await papers.source() == {"title": None, "embedding": None, "embedding_meta": None}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"doc": {"title": "new"}}, id="doc"),
        pytest.param({"script": {"source": "ctx._source.title = 'new'"}}, id="script"),
        pytest.param({"doc": {"title": "new"}, "doc_as_upsert": True}, id="doc_as_upsert"),
    ],
)
async def test_an_update_of_the_text_under_the_old_vector_is_pending(papers, change):
    await papers.put(papers.proven({"title": "old", "abstract": "b"}))

    await papers.call("POST", f"/{papers.index}/_update/{papers.name}", change)

    text = {"title": "new", "abstract": "b"}
    assert await papers.source() == {**text, "embedding_meta": papers.pending(text)}


async def test_an_update_of_another_field_keeps_the_vector(papers):
    document = papers.proven({"title": "a"})
    await papers.put(document)

    await papers.call("POST", f"/{papers.index}/_update/{papers.name}", {"doc": {"year": 1999}})

    assert await papers.source() == {**document, "year": 1999}


async def test_an_update_by_query_of_the_text_is_pending(papers):
    await papers.put(papers.proven({"title": "old"}))

    change = {"query": papers.query, "script": {"source": "ctx._source.title = 'new'"}}
    await papers.call("POST", f"/{papers.index}/_update_by_query", change)

    assert await papers.source() == {"title": "new", "embedding_meta": papers.pending({"title": "new"})}


async def test_reindexed_from_an_unbound_index_is_pending(papers):
    unbound = f"unbound-{papers.name}"
    await papers.call("PUT", f"/{unbound}/_doc/{papers.name}", {"title": "a", "embedding": VECTOR})

    await papers.call("POST", "/_reindex", {"source": {"index": unbound}, "dest": {"index": papers.index}})
    await papers.cluster.call("DELETE", f"/{unbound}")

    assert await papers.source() == {"title": "a", "embedding_meta": papers.pending({"title": "a"})}


async def test_reindexed_from_the_same_binding_stays_ok(papers):
    document = papers.proven({"title": "a"})
    await papers.put(document)
    source = {"index": papers.index, "query": papers.query}

    await papers.call("POST", "/_reindex", {"source": source, "dest": {"index": f"{papers.index}-copy"}})

    assert await papers.source(f"{papers.index}-copy") == document


async def bulk_upsert(papers, partial):
    lines = [{"update": {"_id": papers.name}}, {"doc": partial, "doc_as_upsert": True}]
    body = await papers.call("POST", f"/{papers.index}/_bulk", b"".join(jsontext.dumps(line) + b"\n" for line in lines))
    assert not body["errors"]


async def test_an_absent_document_is_upserted_as_a_whole(papers):
    await bulk_upsert(papers, {"title": "a"})

    assert await papers.source() == {"title": "a", "embedding_meta": papers.pending({"title": "a"})}


async def test_a_partial_upsert_without_text_keeps_the_vector(papers):
    document = papers.proven({"title": "a"})
    await papers.put(document)

    await bulk_upsert(papers, {"year": 1999})

    assert await papers.source() == {**document, "year": 1999}


async def test_a_partial_upsert_takes_the_vector_away_by_null(papers):
    document = papers.proven({"title": "old"})
    await papers.put(document)

    await bulk_upsert(papers, {"title": "new", "embedding": None})

    new = {"title": "new"}
    assert await papers.source() == {
        **new,
        "embedding": None,
        "embedding_meta": document["embedding_meta"] | papers.pending(new),
    }


async def test_a_partial_upsert_around_the_bridge_is_marked_but_keeps_the_old_vector(papers):
    """The hole that the audit closes: the guard sees the partial document alone and cannot reach the stored vector."""
    document = papers.proven({"title": "old"})
    await papers.put(document)

    await bulk_upsert(papers, {"title": "new"})

    source = await papers.source()
    assert state_of(source) == "pending"
    assert source["embedding"] == VECTOR


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize(
    "added",
    [
        pytest.param({"number": 2**64 - 1}, id="an integer that the script processor cannot copy"),
        pytest.param({"abstract": [None] * 1_000_001}, id="a list that is too long for painless"),
    ],
)
async def test_what_the_script_cannot_check_is_indexed_without_vector(papers, added):
    text = {"title": "a"}
    await papers.put({**papers.proven(text), **added})

    assert await papers.source() == {**text, **added, "embedding_meta": {"pending": 1}}
