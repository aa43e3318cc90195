"""Cases 13, 14 and 24: documents and names that two parsers could read differently."""

import uuid

import pytest

from sidecar.model import Role
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.provenance import provenance_hash, source_text
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template
from tests.cluster.bridges import Papers
from tests.soak.filters import MINILM
from tests.support.provenances import state_of

VECTOR = b'"embedding":[' + b",".join([b"0.5"] * 384) + b"]"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b'{"title":"Cats","title":"Dogs"}', id="13: a text twice"),
        pytest.param(b'{"title":"Cats","\\u0074itle":"Dogs"}', id="13: a text twice, once escaped"),
        pytest.param(b'{"title":"Cats","year":1,"year":2}', id="13: another field twice"),
        pytest.param(b'{"title":"Cats","a":{"b":1,"b":2}}', id="13: within an object"),
        pytest.param(b'{"title":"Cats",' + VECTOR + b"," + VECTOR + b"}", id="13: a vector twice"),
        pytest.param(b'{"title":"Cats","embedding_meta":{"pending":1},"embedding_meta":{}}', id="13: provenance twice"),
        pytest.param(b'{"title":"a\\ud800b"}', id="14: half a surrogate pair, escaped"),
        pytest.param(b'{"title":"a\xed\xa0\x80b"}', id="14: half a surrogate pair, in bytes"),
        pytest.param(b'{"title":"a\xed\xa0\xbd\xed\xb8\x80b"}', id="14: a surrogate pair in bytes"),
        pytest.param(b'{"title":"a\xc0\x80b"}', id="14: NUL, overlong"),
        pytest.param(b'{"title":"a\xc0\xafb"}', id="14: a slash, overlong"),
        pytest.param(b'{"title":"a\xffb"}', id="14: no UTF-8"),
        pytest.param(b'{"title":"a\\u0000b"}', id="14: NUL, escaped"),
        pytest.param(b'{"title":"a\0b"}', id="14: NUL in bytes"),
        pytest.param(b'\xef\xbb\xbf{"title":"a"}', id="14: a byte order mark"),
        pytest.param('{"title":"a"}'.encode("utf-16"), id="14: UTF-16"),
    ],
)
async def test_cases_13_and_14_a_document_is_refused_as_by_the_cluster_or_has_the_vector_of_what_is_stored(
    papers: Papers, embedder: EmbedderClient, document: bytes
) -> None:
    plain = papers.index.replace("papers", "plain")
    for path, body in (("_doc/1", document), ("_bulk", b'{"index":{"_id":"2"}}\n' + document + b"\n")):
        through = await papers.bridge("POST", f"/{papers.index}/{path}", body)
        direct = await papers.direct("POST", f"/{plain}/{path}", body)
        outcomes = [
            answer.json["items"][0]["index"]["status"] if answer.json.get("items") else answer.status
            for answer in (through, direct)
        ]

        if outcomes[1] < 300 and VECTOR not in document:
            assert outcomes[0] < 300
        assert outcomes[0] < 300 or outcomes[1] >= 400
        if outcomes[0] >= 300:
            continue
        stored = await papers.stored("2" if path == "_bulk" else "1")
        text = source_text(stored, papers.binding)
        if state_of(stored) == "ok":
            (expected,) = await embedder.encode([text.encode(errors="replace").decode()], Role.PASSAGE, model=MINILM.id)
            assert stored["embedding_meta"]["hash"] == provenance_hash(text, papers.binding)
            assert stored["embedding"] == pytest.approx(expected.tolist(), abs=1e-3)
        else:
            assert state_of(stored) == "pending"
            assert "embedding" not in stored


@pytest.mark.parametrize(
    "name", ['a "quoted" name', "__proto__", "constructor", "back\\slash", "naïve 🦉", "{{a}}", "${a}"]
)
async def test_case_24_no_name_of_a_field_breaks_out_of_what_the_bridge_writes(
    papers: Papers, cluster: OpenSearchCluster, name: str
) -> None:
    index = f"odd-{uuid.uuid4().hex[:8]}"
    mapping = {"properties": {name: {"type": "text"}, "year": {"type": "integer"}}}
    template = compile_template(index, MINILM, mapping, index_patterns=(f"{index}*",), source=(name,))
    await apply(cluster, template)
    try:
        assert (await cluster.call("PUT", f"/{index}")).ok
        whole = await papers.bridge("PUT", f"/{index}/_doc/1", {name: "Cats", "year": 1})
        part = await papers.bridge("POST", f"/{index}/_update/1", {"doc": {name: "Dogs"}})
        found = await papers.bridge("POST", f"/{index}/_search", {"query": {"match": {name: "hounds"}}})
        stored = await papers.stored("1", index)
    finally:
        await cluster.call("DELETE", f"/{index}*,{template.names.companion}", params={"ignore_unavailable": "true"})

    assert (whole.status, part.status) == (201, 200), (whole.body, part.body)
    assert stored["embedding_meta"]["hash"] == provenance_hash("Dogs", template.binding.fields["embedding"])
    assert stored.keys() == {name, "year", "embedding", "embedding_meta"}
    assert found.status == 200
