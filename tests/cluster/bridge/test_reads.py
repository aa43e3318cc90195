"""Reads of documents through the bridge, and hits of searches: where our fields are left out, and where they are shown."""

import json
import zlib

import pytest

from tests.cluster.bridges import Papers
from tests.support.http import ndjson

VECTOR = [0.5] * 384
OURS = {"embedding", "embedding_meta"}


async def filled(papers: Papers, **more: object) -> str:
    """An index of one shard with one document, and with further parts of its mapping."""
    index = f"{papers.index}-one"
    made = {"settings": {"number_of_shards": 1}, "mappings": more}
    assert (await papers.direct("PUT", f"/{index}", made)).status == 200
    written = await papers.bridge("PUT", f"/{index}/_doc/1?refresh=true", {"title": "Felines purr", "year": 2001})
    assert written.status == 201
    return index


async def test_reads_leave_our_fields_out_unless_asked(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats"})

    plain = await papers.bridge("GET", f"/{papers.index}/_doc/1")
    source = await papers.bridge("GET", f"/{papers.index}/_source/1")
    several = await papers.bridge("POST", f"/{papers.index}/_mget", {"ids": ["1"]})
    shown = await papers.bridge("GET", f"/{papers.index}/_doc/1", X_Sidecar_Source="1")

    assert plain.json["_source"] == source.json == several.json["docs"][0]["_source"] == {"title": "Cats"}
    assert shown.json["_source"].keys() >= OURS


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"query": {"match": {"title": "cats"}}}, id="hybrid"),
        pytest.param({"query": {"match": {"title": "cats"}}, "stored_fields": ["_none_"]}, id="hybrid, no stored fields"),
        pytest.param({"query": {"match": {"title": "cats"}}, "aggs": {"t": {"top_hits": {}}}}, id="fused here, top_hits"),
        pytest.param({"query": {"match": {"title": "cats"}}, "aggs": {"t": {"global": {}, "aggs": {"t": {"top_hits": {}}}}}},
                     id="fused here, top_hits of everything"),
        pytest.param({"query": {"match": {"title": "cats"}}, "aggs": {"t": {"global": {}}}, "fields": ["*"]},
                     id="fused here, all fields"),
        pytest.param({"query": {"match": {"title": "felines"}}, "collapse": {"field": "year", "inner_hits": {"name": "n"}}},
                     id="inner hits"),
        pytest.param({"suggest": {"s": {"prefix": "fe", "completion": {"field": "known"}}}}, id="completion"),
        pytest.param({"query": {"match": {"title": "cats"}}, "suggest": {"s": {"prefix": "fe", "completion": {"field": "known"}}},
                      "aggs": {"t": {"global": {}}}}, id="fused here, completion"),
    ],
)  # fmt: skip
async def test_no_part_of_an_answer_to_a_search_shows_our_fields(papers: Papers, body: dict[str, object]) -> None:
    index = await filled(papers, properties={"known": {"type": "completion"}})
    await papers.bridge("PUT", f"/{index}/_doc/2?refresh=true", {"title": "Felines", "known": "felines", "year": 2002})

    for path, sent in (
        (f"/{index}/_search", body),
        (f"/{index}/_search/template", {"source": body}),
        (f"/{index}/_msearch", ndjson({}, body)),
    ):
        answer = await papers.bridge("POST", path, sent)

        assert answer.status == 200
        assert not any(name.encode() in answer.body for name in OURS), answer.body
    if "suggest" in body:
        (option, *_) = answer.json["responses"][0]["suggest"]["s"][0]["options"]
        assert option["_source"] == {"title": "Felines", "known": "felines", "year": 2002}


async def test_further_pages_of_a_scroll_and_of_a_point_in_time_leave_them_out(papers: Papers) -> None:
    index = await filled(papers)
    await papers.bridge("PUT", f"/{index}/_doc/2?refresh=true", {"title": "Dogs bark", "year": 2002})

    first = await papers.bridge("POST", f"/{index}/_search?scroll=1m", {"size": 1})
    second = await papers.bridge("POST", "/_search/scroll", {"scroll_id": first.json["_scroll_id"]})
    made = await papers.bridge("POST", f"/{index}/_search/point_in_time?keep_alive=1m")
    pit = {"pit": {"id": made.json["pit_id"], "keep_alive": "1m"}, "sort": ["year"]}
    point = await papers.bridge("POST", "/_search", pit)

    for answer in (first, second, point):
        assert answer.json["hits"]["hits"]
        assert all(OURS.isdisjoint(hit["_source"]) for hit in answer.json["hits"]["hits"])


async def test_vectors_that_a_client_has_stored_are_shown_to_clients(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats", "embedding": VECTOR})

    read = await papers.bridge("GET", f"/{papers.index}/_doc/1")
    found = await papers.bridge("POST", f"/{papers.index}/_search", {"query": {"match": {"title": "cats"}}})

    for source in (read.json["_source"], found.json["hits"]["hits"][0]["_source"]):
        assert source == {"title": "Cats", "embedding": VECTOR}


async def test_a_vector_field_that_a_client_has_mapped_is_shown(papers: Papers) -> None:
    method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil", "parameters": {"m": 16}}
    index = await filled(papers, properties={"embedding": {"type": "knn_vector", "dimension": 384, "method": method}})

    read = await papers.bridge("GET", f"/{index}/_doc/1")

    assert read.json["_source"].keys() == {"title", "year", "embedding"}


async def test_no_other_index_loses_a_field_of_its_own_with_such_a_name(papers: Papers, unique: str) -> None:
    other, own = f"{unique}-other", {"title": "Cats", "embedding": "of the client"}
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats"})
    await papers.bridge("PUT", f"/{other}/_doc/1?refresh=true", own)
    documents = [{"_index": papers.index, "_id": "1"}, {"_index": other, "_id": "1"}]

    several = await papers.bridge("POST", "/_mget", {"docs": documents})
    found = await papers.bridge("POST", f"/{papers.index},{other}/_search", {"sort": ["_index"]})

    assert [document["_source"] for document in several.json["docs"]] == [{"title": "Cats"}, own]
    sources = {hit["_index"]: hit["_source"] for hit in found.json["hits"]["hits"]}
    assert sources[other] == own
    assert "embedding_meta" not in sources[papers.index]
    await papers.direct("DELETE", f"/{other}")


async def test_an_index_without_a_source_keeps_its_hits(papers: Papers) -> None:
    index = await filled(papers, _source={"enabled": False})

    found = await papers.bridge("GET", f"/{index}/_search")

    assert (found.status, [hit["_id"] for hit in found.json["hits"]["hits"]]) == (200, ["1"])


async def test_every_index_may_be_searched_by_name(papers: Papers) -> None:
    answer = await papers.bridge("GET", "/_all/_search?size=0")

    assert answer.headers["X-Sidecar-Search"].startswith("lexical")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("_search", {"query": {"match": {"title": "cats"}}, "aggs": {"y": {"max": {"field": "year"}}}},
                     id="fused here"),
        pytest.param("_msearch", ndjson({}, {"query": {"match": {"title": "cats"}}}), id="several searches"),
    ],
)  # fmt: skip
async def test_an_answer_that_the_bridge_has_read_is_compressed_as_the_clusters_own(
    papers: Papers, path: str, body: object
) -> None:
    index = await filled(papers)

    plain = await papers.bridge("POST", f"/{index}/{path}", body)
    packed = await papers.bridge("POST", f"/{index}/{path}", body, Accept_Encoding="gzip")

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    unpacked = json.loads(zlib.decompress(packed.body, zlib.MAX_WBITS | 32))
    assert unpacked.keys() == plain.json.keys()


async def test_a_template_keeps_the_shape_of_its_answer(papers: Papers) -> None:
    index = await filled(papers)
    for body in ({"query": {"match": {"title": "cats"}}}, {"query": {"match_all": {}}}, {"size": 0, "aggs": {}}):
        answer = await papers.bridge("POST", f"/{index}/_search/template", {"source": body})
        assert answer.json["status"] == 200

    fused = {"query": {"match": {"title": "cats"}}, "aggs": {"y": {"max": {"field": "year"}}}}
    answer = await papers.bridge("POST", f"/{index}/_search/template", {"source": fused})
    assert (answer.headers["X-Sidecar-Search"].split("; ")[-1], answer.json["status"]) == ("where=bridge", 200)


async def test_a_client_that_wants_yaml_gets_it_where_the_bridge_could_fuse(papers: Papers) -> None:
    index = await filled(papers)
    body = {"query": {"match": {"title": "cats"}}, "aggs": {"y": {"max": {"field": "year"}}}}

    answer = await papers.bridge("POST", f"/{index}/_search", body, Accept="application/yaml")

    assert answer.headers["Content-Type"].startswith("application/yaml")
    assert answer.body.startswith(b"---")
