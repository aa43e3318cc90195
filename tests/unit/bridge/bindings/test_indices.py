"""What the cluster says of an index expression, as the bridge reads it."""

import pytest

from sidecar.bridge.bindings.indices import (
    read_indices,
    read_simulated,
    searches_for_own_vectors,
    with_own_vectors,
    write_index,
    write_target,
)
from sidecar.bridge.hidden_fields import hidden_in
from sidecar.model import IndexBinding
from tests.support.bindings import a_binding, an_index, bound

META = {"sidecar": bound().to_meta()}
PROPERTIES = {
    "title": {"type": "text", "copy_to": "all", "fields": {"english": {"type": "text"}, "raw": {"type": "keyword"}}},
    "abstract": {"type": "text", "copy_to": ["all", "more"]},
    "embedding": {"type": "knn_vector", "dimension": 2},
    "all": {"type": "text"},
    "more": {"type": "text"},
}


def described(**more: object) -> dict[str, object]:
    return {"mappings": {"_meta": META, "properties": PROPERTIES}, **more}


def test_an_index_with_its_binding_and_the_fields_that_its_sources_feed() -> None:
    (index,) = read_indices({"papers": described(settings={"index": {"search": {"default_pipeline": "p"}}})})

    assert index.binding == bound()
    assert index.text_fields == {"embedding": {"title", "abstract", "all", "more", "title.english"}}
    assert (index.sees_all_sources, index.search_pipeline) == (True, "p")
    assert hidden_in((index,)).fields == ("embedding", "embedding_meta")


@pytest.mark.parametrize("hidden", ["title", "embedding"])
def test_a_source_or_a_vector_that_the_client_may_not_see_is_noticed(hidden: str) -> None:
    seen = {name: field for name, field in PROPERTIES.items() if name != hidden}
    (index,) = read_indices({"papers": {"mappings": {"_meta": META, "properties": seen}}})

    assert not index.sees_all_sources
    assert index.unseen == {"embedding"}


def test_a_source_inside_an_object_is_seen() -> None:
    meta = {
        "sidecar": {
            **META["sidecar"],
            "fields": {"embedding": {**META["sidecar"]["fields"]["embedding"], "source": ["a.b"]}},
        }
    }
    (index,) = read_indices(
        {"i": {"mappings": {"_meta": meta, "properties": {**PROPERTIES, "a": {"properties": {"b": {"type": "text"}}}}}}}
    )

    assert index.sees_all_sources


def test_an_index_without_a_binding_or_with_one_of_an_unknown_schema_is_unbound() -> None:
    plain, newer = read_indices({"a": {"mappings": {}}, "b": {"mappings": {"_meta": {"sidecar": {"schema": 3}}}}})

    assert plain.binding is None
    assert newer.binding is None


def test_the_write_index_of_an_alias_a_data_stream_and_an_index() -> None:
    alias = read_indices(
        {"p-1": described(aliases={"p": {}}), "p-2": described(aliases={"p": {"is_write_index": True}})}
    )
    stream = read_indices({".ds-p-000002": described(data_stream="p"), ".ds-p-000001": described(data_stream="p")})
    single = read_indices({"p-1": described(aliases={"p": {}})})

    assert write_index("p", alias).name == "p-2"
    assert write_index("p", stream).name == ".ds-p-000002"
    assert write_index("p", single).name == "p-1"
    assert write_index("p", alias[:1] * 2) is None
    assert write_index("p", ()) is None


def test_a_template_that_would_create_the_index() -> None:
    simulated = read_simulated("papers-1", {"template": described(), "overlapping": []})

    assert simulated is not None
    assert simulated.binding == bound()
    assert read_simulated("papers-1", {"overlapping": []}) is None
    assert read_simulated("papers-1", None) is None


def test_shards_and_mapped_fields_are_read_for_the_companion() -> None:
    properties = {
        "title": {"type": "text"},
        "parts": {"type": "nested", "properties": {"n": {"type": "long"}}},
        "o": {},
    }
    settings = {"index": {"number_of_shards": "3"}}

    (index,) = read_indices({"papers": {"mappings": {"_meta": META, "properties": properties}, "settings": settings}})

    assert index.shards == 3
    assert index.mapped == {("title", "text"), ("parts", "nested"), ("parts.n", "long"), ("o", "object")}


@pytest.mark.parametrize(
    ("definition", "is_own"),
    [
        pytest.param(None, False, id="hidden from the client"),
        pytest.param({"type": "knn_vector", "dimension": 2}, False, id="plain"),
        pytest.param(
            {"type": "knn_vector", "dimension": 2, "data_type": "float",
             "method": {"name": "hnsw", "engine": "lucene", "space_type": "l2", "parameters": {}}},
            False, id="as a template writes it",
        ),
        pytest.param({"type": "knn_vector", "dimension": 2, "method": {"name": "hnsw", "parameters": {"m": 16}}}, True,
                     id="with parameters of a graph"),
        pytest.param({"type": "knn_vector", "dimension": 2, "mode": "on_disk"}, True, id="with another option"),
    ],
)  # fmt: skip
def test_a_vector_field_that_a_client_has_mapped_is_its_own(definition: object, is_own: bool) -> None:
    properties = {**PROPERTIES, "embedding": definition}
    (index,) = read_indices({"papers": {"mappings": {"_meta": META, "properties": properties}}})

    assert index.own_vectors == ({"embedding"} if is_own else frozenset())
    assert set(searches_for_own_vectors((index,))) == (set() if is_own else {"embedding"})


def test_the_indices_with_vectors_of_clients_are_read_from_the_answer() -> None:
    indices = read_indices({"papers": described(), "notes": described()})
    answer = {"aggregations": {"indices": {"buckets": [{"key": "notes", "doc_count": 1}]}}}

    papers, notes = with_own_vectors(indices, {"embedding": answer})

    assert (papers.own_vectors, notes.own_vectors) == (frozenset(), {"embedding"})
    assert with_own_vectors(indices, {"embedding": None}) == indices


def test_an_index_may_keep_no_source() -> None:
    (index,) = read_indices({"papers": {"mappings": {"_meta": META, "_source": {"enabled": False}}}})

    assert not index.keeps_source


def test_rights_are_asked_for_by_the_name_that_the_client_uses_but_for_data_streams() -> None:
    index = an_index("papers-1")
    stream = an_index(".ds-logs-000002", data_stream="logs")

    assert write_target("papers", index).asked_as == "papers"
    assert write_target("logs", stream).asked_as == ".ds-logs-000002"
    assert write_target("papers", index, exists=False).asked_as is None
    assert write_target("papers", None).asked_as is None


def test_fields_that_cannot_hold_what_we_add() -> None:
    odd = {**PROPERTIES, "embedding": {"type": "knn_vector", "dimension": 3}}
    settings = {"index": {"default_pipeline": "p"}}
    (index,) = read_indices(
        {
            "i": {
                "mappings": {"_meta": META, "properties": odd, "_source": {"excludes": ["title"]}},
                "settings": settings,
            }
        }
    )
    target = write_target("i", index)

    assert (target.unfit, target.forgotten) == ({"embedding"}, {"embedding"})
    assert (target.binding, target.ingest_pipeline) == (bound(), "p")
    assert index.own_vectors == {"embedding"}  # nothing in it is ours, so nothing is hidden


def test_a_field_without_a_place_for_its_provenance_is_not_written_to() -> None:
    other = a_binding("other")
    meta = {"sidecar": bound(a_binding(), other).to_meta()}
    properties = {
        **PROPERTIES, "embedding_meta": {"type": "keyword"}, "other": {"type": "knn_vector", "dimension": 2},
    }  # fmt: skip
    both, one = (
        read_indices({"i": {"mappings": {"_meta": block, "properties": properties}}})[0] for block in (meta, META)
    )

    assert both.unmarkable == {"embedding"}
    assert write_target("i", both).binding == IndexBinding(fields={"other": other})
    assert write_target("i", one).binding is None
    assert one.binding == bound()
