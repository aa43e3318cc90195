"""What the cluster says of an index expression, as the bridge reads it."""

import pytest

from sidecar.bridge.bindings.indices import read_indices, read_simulated, write_index
from sidecar.bridge.hidden_fields import hidden_fields
from tests.support.bindings import bound

META = {"sidecar": bound().to_meta()}
PROPERTIES = {
    "title": {"type": "text", "copy_to": "all", "fields": {"english": {"type": "text"}, "raw": {"type": "keyword"}}},
    "abstract": {"type": "text", "copy_to": ["all", "more"]},
    "embedding": {"type": "knn_vector"},
}


def described(**more: object) -> dict[str, object]:
    return {"mappings": {"_meta": META, "properties": PROPERTIES}, **more}


def test_an_index_with_its_binding_and_the_fields_that_its_sources_feed() -> None:
    (index,) = read_indices({"papers": described(settings={"index": {"search": {"default_pipeline": "p"}}})})

    assert index.binding == bound()
    assert index.text_fields == {"embedding": {"title", "abstract", "all", "more", "title.english"}}
    assert (index.sees_all_sources, index.search_pipeline) == (True, "p")
    assert hidden_fields((index,)) == ("embedding", "embedding_meta")


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
