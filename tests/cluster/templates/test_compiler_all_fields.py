"""A query over all fields finds nothing of ours: a bound index and a plain one with the same texts answer alike."""

import json
from typing import NamedTuple

import pytest

from sidecar.model import Provenance, State
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.templates.apply import apply, delete
from sidecar.templates.compiler import compile_template
from tests.support.templates import TINY

MAPPINGS = {"properties": {"title": {"type": "text"}, "year": {"type": "integer"}}}
SETTINGS = {"number_of_shards": 1, "number_of_replicas": 0}
DOCUMENTS: dict[str, dict[str, object]] = {
    "1": {"title": "all is ok", "year": 1},
    "2": {"title": "document number two", "year": 2},
    "3": {"title": "document number three"},
    "4": {"title": "a document that waits"},
    "5": {"title": "with a vector of its own"},
    "6": {"year": 6},
}
# Words and numbers of provenances, in every form that a query over all fields has.
WORDS = ("ok", "pending", "client", "false", "torch", "tiny@1", "1", "1.0", "o*", "*k", "/o./", "sha256*", "embedding*")
FORMS = {
    "query_string": lambda word: {"query_string": {"query": word, "analyze_wildcard": True}},
    "every field": lambda word: {"query_string": {"query": f"*:{word}"}},
    "star": lambda word: {"query_string": {"query": word, "fields": ["*"], "lenient": True}},
    "simple_query_string": lambda word: {"simple_query_string": {"query": word}},
    "simple, star": lambda word: {"simple_query_string": {"query": word, "fields": ["*"], "lenient": True}},
    "multi_match": lambda word: {"multi_match": {"query": word, "lenient": True}},
    "multi_match, star": lambda word: {"multi_match": {"query": word, "fields": ["*"], "lenient": True}},
    "Dashboards bar": lambda word: {"multi_match": {"type": "best_fields", "query": word, "lenient": True}},
    "Dashboards bar, phrase": lambda word: {"multi_match": {"type": "phrase", "query": word, "lenient": True}},
    "more_like_this": lambda word: {"more_like_this": {"like": [word], "min_term_freq": 1, "min_doc_freq": 1}},
}
OTHERS = {
    "exists": {"query_string": {"query": "_exists_:*"}},
    "exists, star": {"exists": {"field": "*"}},
    "exists not": {"query_string": {"query": "NOT _exists_:*"}},
    "boost": {"query_string": {"query": "ok^2 OR 1"}},
    "range": {"query_string": {"query": "*:[0 TO 5]", "lenient": True}},
}
QUERIES = {f"{form}: {word}": make(word) for form, make in FORMS.items() for word in WORDS} | OTHERS


def stored(identifier: str, document: dict[str, object], digest: str) -> dict[str, object]:
    """A document as it lies in a bound index, in each state."""
    if "title" not in document:
        return document
    if identifier == "4":
        return {**document, "embedding_meta": Provenance(hash=digest, state=State.PENDING).to_update()}
    state = State.CLIENT if identifier == "5" else State.OK
    about = {} if state is State.CLIENT else {"model": "tiny@1", "backend": "torch", "truncated": False}
    proof = Provenance(hash=digest, state=state, **about)
    return {**document, "embedding": [0.5, 0.25], "embedding_meta": proof.to_update()}


class Indices(NamedTuple):
    cluster: OpenSearchCluster
    bound: str
    plain: str


@pytest.fixture
async def indices(node_url, unique):
    """A bound index and a plain one, with the same documents."""
    bound, plain = f"{unique}-1", f"plain-{unique}"
    compiled = compile_template(
        unique,
        TINY,
        {"mappings": MAPPINGS, "settings": SETTINGS},
        index_patterns=[f"{unique}-*"],
        source=["title"],
    )
    async with OpenSearchCluster(node_url) as cluster:
        await apply(cluster, compiled)
        await cluster.call("PUT", f"/{plain}", body={"mappings": MAPPINGS, "settings": SETTINGS})
        for name in (bound, plain):
            for identifier, document in DOCUMENTS.items():
                whole = stored(identifier, document, "ab" * 32) if name == bound else document
                # Around the guard, which would not believe this hash.
                await cluster.call("PUT", f"/{name}/_doc/{identifier}", params={"refresh": "true"}, body=document)
                body = {"doc": whole}
                await cluster.call("POST", "/_bulk", params={"refresh": "true"}, body=lines(name, identifier, body))
        yield Indices(cluster, bound, plain)
        await cluster.call("DELETE", f"/{bound},{plain}")
        await delete(cluster, unique)


def lines(index: str, identifier: str, body: object) -> bytes:
    action = {"update": {"_index": index, "_id": identifier}}
    return f"{json.dumps(action)}\n{json.dumps(body)}\n".encode()


async def answered(cluster: OpenSearchCluster, index: str, query: object) -> object:
    highlight = {"require_field_match": False, "fields": {"*": {}}}
    body = {
        "query": query,
        "highlight": highlight,
        "aggs": {"all": {"value_count": {"field": "_id"}}},
        "_source": False,
    }
    reply = await cluster.call("POST", f"/{index}/_search", body=body)
    if not reply.ok:
        return reply.status
    hits = reply.body["hits"]["hits"]
    return {hit["_id"]: hit.get("highlight") for hit in hits}, reply.body["aggregations"]


async def test_the_documents_of_the_bound_index_have_vectors_and_marks(indices):
    for field, ids in {
        "embedding": {"1", "2", "3", "5"}, "embedding_meta.pending": {"4"}, "embedding_meta.client": {"5"},
        "embedding_meta.hash": {"1", "2", "3", "4", "5"},
    }.items():  # fmt: skip
        found = await indices.cluster.call(
            "POST", f"/{indices.bound}/_search", body={"query": {"exists": {"field": field}}}
        )
        assert {hit["_id"] for hit in found.body["hits"]["hits"]} == ids, field


async def test_no_query_over_all_fields_finds_what_is_ours(indices):
    differing = {
        name: (bound, plain)
        for name, query in QUERIES.items()
        if (bound := await answered(indices.cluster, indices.bound, query))
        != (plain := await answered(indices.cluster, indices.plain, query))
    }

    assert differing == {}
