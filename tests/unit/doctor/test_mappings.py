"""What is said of a mapping that does not satisfy its binding: the sentences. `test_indices.py` has a row for each check."""

import pytest

from sidecar.doctor.mappings import examine_mapping, fatal_fields
from sidecar.index_description import read_index
from tests.support.bindings import a_binding

VECTOR = {"type": "knn_vector", "dimension": 2}
META_FIELD = {"dynamic": False, "properties": {"pending": {"type": "rank_feature"}}}
TEXTS = {"title": {"type": "text"}, "abstract": {"type": "text"}}


@pytest.mark.parametrize(
    ("vector", "meta", "source", "messages"),
    [
        pytest.param(VECTOR, META_FIELD, {}, [], id="well"),
        pytest.param(
            {"type": "knn_vector", "dimension": 768}, META_FIELD, {},
            [("[embedding] is mapped with 768 dimensions, and its model has 2: its texts are stored as pending, searches "
             "are lexical (space), and vectors of clients stay as they are")], id="another dimension",
        ),
        pytest.param(
            VECTOR, {"type": "keyword"}, {},
            [("[embedding_meta] is not mapped as a template maps it: the bridge adds nothing to documents, searches are "
             "lexical (space), and the cluster may refuse what the guard adds")], id="no place for the provenance",
        ),
        pytest.param(
            VECTOR, META_FIELD, {"excludes": ["embedding", "title"]},
            [("its mapping leaves [embedding, title] out of _source: a bulk update around the bridge takes the vector out "
             "of the index without a mark, and `sidecar repair` leaves the index alone")], id="not in _source",
        ),
    ],
)  # fmt: skip
def test_the_sentences(vector: object, meta: object, source: object, messages: list[str]) -> None:
    properties = {**TEXTS, "embedding": vector, "embedding_meta": meta}
    index = read_index("papers", {"mappings": {"properties": properties, "_source": source}})

    assert [finding.message for finding in examine_mapping(index, a_binding())] == messages


def test_vectors_that_would_end_a_node_are_named() -> None:
    (finding,) = fatal_fields("store", ("v", "w"))

    assert finding.message.startswith("[v, w] is mapped for faiss or nmslib, or for no engine, and a node")
    assert finding.remedy == 'DELETE /store, and make it with "method": {"name": "hnsw", "engine": "lucene"}'
    assert list(fatal_fields("store", ())) == []
