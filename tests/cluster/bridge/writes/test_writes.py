"""Writes through the bridge on a real node with the real model: what is stored, and what the client is told."""

import gzip

import numpy as np
import pytest
from opensearchpy import AsyncOpenSearch
from opensearchpy.helpers import async_bulk

from sidecar.evaluation.docstrings import read_passages
from sidecar.model import IndexBinding, Role, SearchBinding, WritePolicy
from sidecar.models.catalogue import shipped_versions
from sidecar.provenance import provenance_hash
from sidecar.rpc import EmbedderClient
from tests.cluster.bridges import Papers
from tests.support.http import ndjson
from tests.support.provenances import state_of

MINILM = shipped_versions()["all-minilm-l6-v2@1"]


async def test_each_document_of_a_bulk_gets_its_vector_and_its_provenance(papers: Papers) -> None:
    answer = await papers.bridge(
        "POST",
        f"/{papers.index}/_bulk?refresh=true",
        ndjson(
            {"index": {"_id": "1"}}, {"title": "Cats purr", "abstract": "when they are content", "year": 1},
            {"create": {"_id": "2"}}, {"title": "Dogs bark"},
            {"index": {"_id": "3"}}, {"year": 3},
            {"delete": {"_id": "9"}},
        ),
    )  # fmt: skip

    assert answer.status == 200
    assert answer.ingested == (2, 0)
    assert [(action, item["status"]) for i in answer.json["items"] for action, item in i.items()] == [
        ("index", 201), ("create", 201), ("index", 201), ("delete", 404),
    ]  # fmt: skip
    first, third = await papers.stored("1"), await papers.stored("3")
    assert first["embedding_meta"] == {
        "hash": provenance_hash("Cats purr\nwhen they are content", papers.binding),
        "about": {"model": MINILM.id, "backend": "openvino-w8", "truncated": False},
    }
    assert np.linalg.norm(first["embedding"]) == pytest.approx(1, abs=1e-5)
    assert third == {"year": 3}


@pytest.mark.parametrize(
    "good",
    [
        pytest.param([{"title": ""}, {"year": 3}], id="beside documents without a text"),
        pytest.param(
            [b'{"title":"Owls"}/* so */', b'{"title":"Bees \xed\xa0\xbd"}'], id="beside what only the cluster reads"
        ),
        pytest.param([{"title": "Cats"}, b'{"title":"Owls"}/* so */'], id="beside both"),
    ],
)
async def test_a_broken_document_is_refused_alone(papers: Papers, good: list[object]) -> None:
    """The cluster runs the guard on a batch of documents, and refuses all of them for one that it cannot read."""
    sources = [good[0], b'{"title" "no colon"}', good[1]]
    lines = [line for n, source in enumerate(sources) for line in ({"index": {"_id": f"{n}"}}, source)]

    answer = await papers.bridge("POST", f"/{papers.index}/_bulk", ndjson(*lines))

    assert [item["index"]["status"] for item in answer.json["items"]] == [201, 400, 201]


async def test_the_vector_is_the_models_own(papers: Papers, embedder: EmbedderClient) -> None:
    text = "The quick brown fox jumps over the lazy dog"
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": text})

    (expected,) = await embedder.encode([text], Role.PASSAGE, model=MINILM.id)

    assert float(np.dot((await papers.stored("1"))["embedding"], expected)) >= 0.999999


async def test_docstrings_get_the_vectors_that_sentence_transformers_computes(
    papers: Papers, sentence_transformer: object
) -> None:
    """The demo's documents, fewer of them. With 8-bit weights each is nearer than 0.998; no other text beyond 0.98."""
    passages = read_passages(120)
    lines = [line for p in passages for line in ({"index": {"_id": p.id}}, p.to_source())]

    answer = await papers.bridge("POST", f"/{papers.index}/_bulk?refresh=true", ndjson(*lines))

    assert answer.json["errors"] is False
    texts = [f"{p.title}\n{p.abstract}" if p.abstract else p.title for p in passages]
    expected = sentence_transformer.encode(texts)  # type: ignore[attr-defined]
    query = {"size": len(passages), "query": {"bool": {"filter": {"exists": {"field": "embedding"}}}}}
    hits = (await papers.direct("POST", f"/{papers.index}/_search", query)).json["hits"]["hits"]
    stored = {hit["_id"]: hit["_source"] for hit in hits}
    assert stored.keys() == {p.id for p in passages}
    for passage, text, vector in zip(passages, texts, expected, strict=True):
        assert float(np.dot(stored[passage.id]["embedding"], vector)) >= 0.995
        assert stored[passage.id]["embedding_meta"]["hash"] == provenance_hash(text, papers.binding)


async def test_the_bytes_of_a_client_survive(papers: Papers) -> None:
    await papers.without_guard()
    source = (
        '{ "title" : "caf\\u00e9 \\ud83d\\ude00 é x", "n":123456789012345678, "f" : 1.500, "o":{"b":1,"a":2} }'.encode()
    )

    await papers.bridge("POST", f"/{papers.index}/_bulk?refresh=true", b'{"index":{"_id":"1"}}\r\n' + source + b"\r\n")

    raw = (await papers.direct("GET", f"/{papers.index}/_doc/1")).body
    assert source[:-2] + b' ,"embedding":[' in raw
    assert state_of(await papers.stored("1")) == "ok"


async def test_a_lone_surrogate_is_stored_and_hashed_as_the_cluster_does(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", b'{"title":"a\\ud800b"}')

    assert state_of(await papers.stored("1")) == "ok"


async def test_a_text_that_was_embedded_before_comes_from_the_cache_bit_by_bit(papers: Papers, unique: str) -> None:
    answers = [
        await papers.bridge("PUT", f"/{papers.index}/_doc/{n}?refresh=true", {"title": f"Cats {unique}"})
        for n in (1, 2)
    ]

    # What the cache knows of other clients' texts is not for this one.
    assert [answer.headers["X-Sidecar-Ingest"] for answer in answers] == ["embedded=1; pending=0"] * 2
    stats = await papers.bridge("GET", "/_plugins/_sidecar/stats")
    assert b"cached" not in stats.body
    assert b"query_vectors" not in stats.body
    assert b'sidecar_bridge_ingest_texts_total{outcome="cached"}' in (await papers.admin("GET", "/metrics")).body
    assert (await papers.stored("1"))["embedding"] == (await papers.stored("2"))["embedding"]


async def test_an_index_that_does_not_exist_is_bound_by_its_template(papers: Papers) -> None:
    answer = await papers.bridge("PUT", f"/{papers.index}-new/_doc/1?refresh=true", {"title": "Cats"})

    assert answer.ingested == (1, 0)
    assert state_of(await papers.stored("1", f"{papers.index}-new")) == "ok"


async def test_a_date_math_name_is_bound_by_the_template_of_the_index_it_means(papers: Papers) -> None:
    name = f"%3C{papers.index}-%7Bnow%2Fd%7D%3E"

    answer = await papers.bridge("PUT", f"/{name}/_doc/1?refresh=true", {"title": "Cats"})

    assert answer.ingested == (1, 0)
    assert state_of(await papers.stored("1", name)) == "ok"


async def test_a_write_through_an_alias_goes_to_its_write_index(papers: Papers) -> None:
    body = {"aliases": {f"{papers.index}-alias": {"is_write_index": True}}}
    await papers.bridge("PUT", f"/{papers.index}-1", body)
    await papers.bridge("PUT", f"/{papers.index}-0", {"aliases": {f"{papers.index}-alias": {}}})

    await papers.bridge("PUT", f"/{papers.index}-alias/_doc/1?refresh=true", {"title": "Cats"})

    assert state_of(await papers.stored("1", f"{papers.index}-1")) == "ok"


async def test_a_gzip_body_is_read_and_an_unknown_coding_is_left_to_the_cluster(papers: Papers) -> None:
    body = gzip.compress(ndjson({"index": {"_id": "1"}}, {"title": "Cats"}))

    answer = await papers.bridge("POST", f"/{papers.index}/_bulk?refresh=true", body, Content_Encoding="gzip")

    assert answer.ingested == (1, 0)
    assert state_of(await papers.stored("1")) == "ok"


async def test_a_bulk_update_of_another_field_leaves_the_vector_and_a_noop_a_noop(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1", {"title": "Cats", "year": 1})
    before = await papers.stored("1")

    answer = await papers.bridge(
        "POST",
        f"/{papers.index}/_bulk?refresh=true",
        ndjson({"update": {"_id": "1"}}, {"doc": {"year": 1}}, {"update": {"_id": "1"}}, {"doc": {"year": 2}}),
    )

    assert [item["update"]["result"] for item in answer.json["items"]] == ["noop", "updated"]
    assert await papers.stored("1") == before | {"year": 2}


async def test_a_clients_own_vector_is_kept_and_marked(papers: Papers) -> None:
    vector = [1.0] + [0.0] * (MINILM.dimension - 1)

    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats", "embedding": vector})

    stored = await papers.stored("1")
    assert stored["embedding"] == vector
    assert state_of(stored) == "client"


async def test_writing_back_what_was_read_with_its_vector_computes_nothing(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats"})
    stored = await papers.stored("1")

    answer = await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", stored)

    assert "X-Sidecar-Ingest" not in answer.headers
    assert await papers.stored("1") == stored


async def test_a_changed_text_that_brings_its_old_vector_gets_a_new_one(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats"})
    stored = await papers.stored("1")

    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", stored | {"title": "Dogs"})

    changed = await papers.stored("1")
    assert state_of(changed) == "ok"
    assert changed["embedding_meta"]["hash"] == provenance_hash("Dogs", papers.binding)
    assert changed["embedding"] != stored["embedding"]


async def test_one_bad_document_fails_alone_with_the_clusters_own_words(papers: Papers) -> None:
    body = ndjson({"index": {"_id": "1"}}, b"{bad", {"index": {"_id": "2"}}, {"title": "Cats"})

    through = await papers.bridge("POST", f"/{papers.index}/_bulk", body)
    direct = await papers.direct("POST", f"/{papers.index}/_bulk", body)

    assert [item["index"]["status"] for item in through.json["items"]] == [400, 201]
    assert through.json["items"][0] == direct.json["items"][0]
    # Without the bridge, a pipeline of the cluster lets one bad document fail all that came with it.
    assert [item["index"]["status"] for item in direct.json["items"]] == [400, 400]


async def test_a_vector_that_the_binding_forbids_is_refused_alone(papers: Papers) -> None:
    binding = papers.binding.model_copy(update={"write": WritePolicy(client_vector="reject")})
    block = IndexBinding(fields={"embedding": binding}, search=SearchBinding(field="embedding")).to_meta()
    await papers.bridge("PUT", f"/{papers.index}/_mapping", {"_meta": {"sidecar": block}})
    lines = ndjson(
        {"create": {"_id": "1"}}, {"title": "Cats", "embedding": [1]}, {"index": {"_id": "2"}}, {"title": "Dogs"}
    )

    answer = await papers.bridge("POST", f"/{papers.index}/_bulk?filter_path=errors,items", lines)

    first, second = answer.json["items"]
    assert (answer.json["errors"], first["create"]["status"], second["index"]["status"]) == (True, 400, 201)
    assert first["create"]["error"]["type"] == "illegal_argument_exception"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"index":{}}\n{"title":"x"}', id="no line end"),
        pytest.param(b'{"inde":{}}\n{"title":"x"}\n', id="unknown action"),
        pytest.param(b'{"index":{"_idd":"1"}}\n{"title":"x"}\n', id="unknown parameter"),
        pytest.param(b'{"index":{}}\n{"title":"x"}\n{"delete":{}}\n', id="delete without id, after a good line"),
        pytest.param(b"nonsense\n", id="no JSON"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"index":{}}\n\n{"title":"x"}\n', id="blank source"),
    ],
)
async def test_what_the_cluster_refuses_is_refused_in_its_own_words(papers: Papers, body: bytes) -> None:
    through = await papers.bridge("POST", f"/{papers.index}/_bulk", body)
    direct = await papers.direct("POST", f"/{papers.index}/_bulk", body)

    assert (through.status, through.json) == (direct.status, direct.json)
    assert through.status == 400


async def test_a_bulk_that_is_bound_to_nothing_is_answered_as_if_there_were_no_bridge(
    papers: Papers, unique: str
) -> None:
    body = ndjson({"index": {"_id": "1"}}, {"title": "Cats"}, {"update": {"_id": "1"}}, {"doc": {"title": "Dogs"}})

    through = await papers.bridge("POST", f"/{unique}-plain-a/_bulk?refresh=true", body)
    direct = await papers.direct("POST", f"/{unique}-plain-b/_bulk?refresh=true", body)

    assert "X-Sidecar-Ingest" not in through.headers
    assert [i[next(iter(i))]["result"] for i in through.json["items"]] == [
        i[next(iter(i))]["result"] for i in direct.json["items"]
    ]
    assert await papers.stored("1", f"{unique}-plain-a") == {"title": "Dogs"}


async def test_bound_and_unbound_indices_in_one_bulk(papers: Papers, unique: str) -> None:
    await papers.bridge(
        "POST",
        "/_bulk?refresh=true",
        ndjson(
            {"index": {"_index": papers.index, "_id": "1"}}, {"title": "Cats"},
            {"index": {"_index": f"{unique}-plain", "_id": "1"}}, {"title": "Cats"},
        ),
    )  # fmt: skip

    assert state_of(await papers.stored("1")) == "ok"
    assert await papers.stored("1", f"{unique}-plain") == {"title": "Cats"}


async def test_a_bulk_larger_than_a_sub_bulk_is_answered_as_one(papers: Papers) -> None:
    filler = "x" * 900_000
    lines: list[object] = []
    for number in range(12):
        lines += [{"index": {"_id": str(number % 11)}}, {"title": f"number {number}", "blob": filler}]

    answer = await papers.bridge("POST", f"/{papers.index}/_bulk?refresh=true&format=yaml", ndjson(*lines))

    assert answer.body.startswith(b'{"took":')
    assert b'"errors":false,"items":[{"index":' in answer.body
    assert [item["index"]["_id"] for item in answer.json["items"]] == [str(n % 11) for n in range(12)]
    assert answer.json["items"][11]["index"]["_version"] == 2
    assert (await papers.stored("0"))["title"] == "number 11"


async def test_helpers_of_opensearch_py_work_unmodified(papers: Papers) -> None:
    documents = [{"_index": papers.index, "_id": str(n), "title": f"Passage {n}"} for n in range(50)]
    async with AsyncOpenSearch(papers.bridge.url) as client:
        succeeded, errors = await async_bulk(client, documents, refresh=True)
        found = await client.count(
            index=papers.index, body={"query": {"bool": {"filter": {"exists": {"field": "embedding"}}}}}
        )

    assert (succeeded, errors, found["count"]) == (50, [], 50)


async def test_reindex_within_a_binding_keeps_the_vectors_and_from_outside_marks_them(
    papers: Papers, unique: str
) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats"})
    await papers.direct("PUT", f"/{unique}-plain/_doc/2?refresh=true", {"title": "Dogs"})

    for source in (papers.index, f"{unique}-plain"):
        body = {"source": {"index": source}, "dest": {"index": f"{papers.index}-copy"}}
        assert (await papers.bridge("POST", "/_reindex?refresh=true", body)).json["failures"] == []

    kept, marked = await papers.stored("1", f"{papers.index}-copy"), await papers.stored("2", f"{papers.index}-copy")
    assert kept == await papers.stored("1")
    assert marked["embedding_meta"] == {"hash": provenance_hash("Dogs", papers.binding), "pending": 1}
    assert "embedding" not in marked


async def test_an_unbinding_seen_by_the_bridge_takes_effect_at_once(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1", {"title": "Cats"})
    await papers.bridge("PUT", f"/{papers.index}/_mapping", {"_meta": {}})

    answer = await papers.bridge("PUT", f"/{papers.index}/_doc/2", {"title": "Dogs"})

    assert "X-Sidecar-Ingest" not in answer.headers
