"""Indices of a bound pattern that a client has made with a mapping of its own: through the bridge as directly."""

import json

import pytest

from tests.cluster.bridges import Papers
from tests.support.http import Answer, ndjson
from tests.support.provenances import state_of

HNSW = {"name": "hnsw", "engine": "lucene"}  # the local node has no library for the stores' own default engines

# The indices that the stores make, and what else a client may map.
OWN = {
    "haystack": {
        "settings": {"index.knn": True},
        "mappings": {
            "properties": {
                "embedding": {"type": "knn_vector", "index": True, "dimension": 4, "method": HNSW},
                "content": {"type": "text"},
            },
            "dynamic_templates": [
                {"strings": {"path_match": "*", "match_mapping_type": "string", "mapping": {"type": "keyword"}}}
            ],
        },
    },
    "langchain": {
        "settings": {"index": {"knn": True, "knn.algo_param.ef_search": 512}},
        "mappings": {
            "properties": {
                "embedding": {
                    "type": "knn_vector",
                    "dimension": 4,
                    "method": {**HNSW, "space_type": "l2", "parameters": {"ef_construction": 512, "m": 16}},
                }
            }
        },
    },
    "llamaindex": {
        "settings": {"index": {"knn": True, "knn.algo_param.ef_search": 100}},
        "mappings": {
            "properties": {
                "embedding": {
                    "type": "knn_vector",
                    "dimension": 4,
                    "method": {**HNSW, "space_type": "l2", "parameters": {"ef_construction": 256, "m": 48}},
                },
                "content": {"type": "text"},
            }
        },
    },
    "bytes": {
        "settings": {"index.knn": True},
        "mappings": {
            "properties": {
                "embedding": {"type": "knn_vector", "dimension": 4, "data_type": "byte", "method": HNSW},
            }
        },
    },
    "floats": {"mappings": {"properties": {"embedding": {"type": "float"}}}},
    "keyword": {"mappings": {"properties": {"embedding": {"type": "keyword"}}}},
    "strict": {
        "settings": {"index.knn": True},
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "embedding": {"type": "knn_vector", "dimension": 4, "method": HNSW},
                "title": {"type": "text"},
                "n": {"type": "integer"},
            },
        },
    },
}

VECTOR = [1, 2, 3, 4]
BULK = ndjson(
    {"index": {"_id": "own"}}, {"title": "felines purr", "embedding": VECTOR},
    {"index": {"_id": "text"}}, {"title": "dogs bark"},
    {"create": {"_id": "none"}}, {"n": 1},
    {"index": {"_id": "odd"}}, {"title": "rain falls", "embedding": [1, 2, 3]},
    {"index": {"_id": "null"}}, {"title": "rain falls", "embedding": None},
    {"update": {"_id": "text"}}, {"doc": {"title": "hounds bark"}},
    {"update": {"_id": "up"}}, {"doc": {"title": "new"}, "doc_as_upsert": True},
    {"update": {"_id": "null"}}, {"doc": {"embedding": VECTOR}},
    {"update": {"_id": "own"}}, {"doc": {"n": 2}},
    {"delete": {"_id": "none"}},
)  # fmt: skip


def statuses(answer: Answer) -> list[tuple[str, int]]:
    assert answer.status == 200, answer.body
    return [(action, item["status"]) for one in answer.json["items"] for action, item in one.items()]


@pytest.mark.parametrize("kind", OWN)
async def test_writes_to_an_index_of_another_mapping_are_answered_as_directly(papers: Papers, kind: str) -> None:
    bound, plain = f"{papers.index}-{kind}", f"plain-{papers.index}"
    for index in (bound, plain):
        made = await papers.direct("PUT", f"/{index}", OWN[kind])
        assert made.status == 200, made.body

    through = await papers.bridge("POST", f"/{bound}/_bulk?refresh=true", BULK)
    directly = await papers.direct("POST", f"/{plain}/_bulk?refresh=true", BULK)
    single = await papers.bridge("PUT", f"/{bound}/_doc/single", {"title": "alone"})
    changed = await papers.bridge("POST", f"/{bound}/_update/single", {"doc": {"title": "not alone"}})

    assert statuses(through) == statuses(directly)
    assert through.headers["X-Sidecar-Ingest"].startswith("embedded=0; pending=")
    assert (single.status, single.ingested, changed.status, changed.ingested) == (201, (0, 1), 200, (0, 1))
    for name, state in {"own": "client", "text": "pending", "up": "pending", "null": "client"}.items():
        if (await papers.direct("GET", f"/{plain}/_doc/{name}")).status == 404:  # bytes, for example, are refused
            continue
        source = await papers.stored(name, bound)
        assert state_of(source) == state, name
        ours = {field: value for field, value in source.items() if field != "embedding_meta" and value is not None}
        assert ours == await papers.stored(name, plain), name
    await papers.direct("DELETE", f"/{plain}")


async def test_searches_of_such_an_index_are_lexical_and_say_why(papers: Papers) -> None:
    odd = f"{papers.index}-odd"
    await papers.direct("PUT", f"/{odd}", OWN["haystack"])
    await papers.bridge("PUT", f"/{odd}/_doc/1?refresh=true", {"title": "cats purr", "embedding": VECTOR})
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "felines purr"})
    match = {"query": {"match": {"title": "cats"}}}

    alone = await papers.bridge("POST", f"/{odd}/_search", match)
    beside = await papers.bridge("POST", f"/{papers.index},{odd}/_search", match)
    own = await papers.bridge("POST", f"/{odd}/_search", {"query": {"knn": {"embedding": {"vector": VECTOR, "k": 1}}}})
    neural = {"query": {"neural": {"embedding": {"query_text": "cats"}}}}
    refused = await papers.bridge("POST", f"/{odd}/_search", neural)

    for answer in (alone, beside):
        assert answer.headers["X-Sidecar-Search"] == "lexical; reason=space"
        assert [hit["_index"] for hit in answer.json["hits"]["hits"]] == [odd]
    assert own.json["hits"]["hits"][0]["_source"] == {"title": "cats purr", "embedding": VECTOR}
    assert refused.status == 400
    assert f"in [{odd}] the field is mapped so that it holds no vectors of model" in refused.json["error"]["reason"]


async def test_nothing_is_added_where_the_provenance_has_no_place(papers: Papers) -> None:
    odd = f"{papers.index}-odd"
    mapping = {"embedding_meta": {"type": "object", "dynamic": "strict", "properties": {"hash": {"type": "integer"}}}}
    assert (await papers.direct("PUT", f"/{odd}", {"mappings": {"properties": mapping}})).status == 200
    await papers.direct("PUT", f"/{odd}/_settings", {"index.final_pipeline": "_none"})

    bulk = ndjson({"index": {"_id": "1"}}, {"title": "cats"}, {"update": {"_id": "1"}}, {"doc": {"title": "dogs"}})
    answer = await papers.bridge("POST", f"/{odd}/_bulk?refresh=true", bulk)
    single = await papers.bridge("PUT", f"/{odd}/_doc/2", {"title": "cats"})
    found = await papers.bridge("POST", f"/{odd}/_search", {"query": {"match": {"title": "dogs"}}})

    assert statuses(answer) == [("index", 201), ("update", 200)]
    assert single.status == 201
    assert (await papers.stored("1", odd), await papers.stored("2", odd)) == ({"title": "dogs"}, {"title": "cats"})
    assert found.headers["X-Sidecar-Search"] == "lexical; reason=space"


async def test_an_update_of_an_index_whose_source_lacks_the_vector_keeps_the_document_findable(papers: Papers) -> None:
    odd = f"{papers.index}-odd"
    mapping = {"_source": {"excludes": ["embedding"]}, "properties": {"n": {"type": "integer"}}}
    assert (await papers.direct("PUT", f"/{odd}", {"mappings": mapping})).status == 200
    for identifier in ("bulk", "single", "script"):
        await papers.bridge("PUT", f"/{odd}/_doc/{identifier}", {"title": "felines purr", "n": 1})

    lines = ndjson({"update": {"_id": "bulk"}}, {"doc": {"n": 2}})
    bulk = await papers.bridge("POST", f"/{odd}/_bulk", lines)
    single = await papers.bridge("POST", f"/{odd}/_update/single", {"doc": {"n": 2}})
    await papers.bridge("POST", f"/{odd}/_update/script?refresh=true", {"script": "ctx._source.n = 2"})
    neural = {"query": {"neural": {"embedding": {"query_text": "cats", "k": 10}}}}
    found = await papers.bridge("POST", f"/{odd}/_search", neural)

    assert (bulk.ingested, single.ingested) == ((1, 0), (1, 0))
    assert {hit["_id"] for hit in found.json["hits"]["hits"]} == {"bulk", "single"}
    assert state_of(await papers.stored("script", odd)) == "pending"


@pytest.mark.parametrize("excluded", ["title", "embedding_meta", "*.hash"])
async def test_an_update_of_an_index_whose_source_lacks_text_or_provenance_is_never_falsely_ok(
    papers: Papers, excluded: str
) -> None:
    odd = f"{papers.index}-odd"
    mapping = {"_source": {"excludes": [excluded]}, "properties": {"n": {"type": "integer"}}}
    assert (await papers.direct("PUT", f"/{odd}", {"mappings": mapping})).status == 200
    await papers.bridge("PUT", f"/{odd}/_doc/1", {"title": "felines purr", "abstract": "so do cats", "n": 1})

    lines = ndjson({"update": {"_id": "1"}}, {"doc": {"n": 2}})
    answer = await papers.bridge("POST", f"/{odd}/_bulk?refresh=true", lines)
    has = {name: {"exists": {"field": name}} for name in ("embedding", "embedding_meta.pending")}
    counting = {"size": 0, "aggs": {"has": {"filters": {"filters": has}}}}
    found = (await papers.direct("POST", f"/{odd}/_search", counting)).json["aggregations"]["has"]["buckets"]

    assert json.loads(answer.body)["errors"] is False
    with_vector, pending = (found[name]["doc_count"] for name in has)
    assert with_vector + pending == 1
