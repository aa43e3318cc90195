import pytest

from sidecar.errors import InvalidInput
from sidecar.templates.base import BaseMapping, flatten_settings
from tests.support.bindings import a_binding

BASE = {
    "properties": {
        "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        "year": {"type": "integer"},
        "author": {"properties": {"name": {"type": "text"}, "address.city": {"type": "keyword"}}},
        "venue.name": {"type": "text"},
        "reviews": {"type": "nested", "properties": {"text": {"type": "match_only_text"}}},
        "other": {"type": "alias", "path": "title"},
    }
}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(BASE, id="bare mapping"),
        pytest.param({"mappings": BASE}, id="mappings"),
        pytest.param({"mappings": BASE, "settings": {}}, id="mappings and settings"),
    ],
)
def test_a_base_is_a_mapping_or_mappings_and_settings(raw):
    assert BaseMapping.parse(raw) == BaseMapping(BASE, {}, None)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        pytest.param([], "mapping: must be a JSON object, not list", id="array"),
        pytest.param(
            {"mappings": {}, "aliases": {}},
            "mapping: [aliases] beside mappings and settings is not supported",
            id="aliases",
        ),
        pytest.param({"mappings": None}, "mapping.mappings: must be a JSON object, not NoneType", id="null mappings"),
        pytest.param({"settings": "x"}, "mapping.settings: must be a JSON object, not str", id="settings"),
        pytest.param({"_meta": 1}, "mapping._meta: must be a JSON object, not int", id="_meta"),
        pytest.param(
            {"_meta": {"sidecar": {}}}, "mapping._meta.sidecar: the base must not be bound already", id="bound already"
        ),
        pytest.param(
            {"settings": {"index": {"knn": "false"}}},
            "mapping.settings.index.knn: must be true for a vector field; got [false]",
            id="no k-NN",
        ),
        pytest.param(
            {"settings": {"final_pipeline": 1}},
            "mapping.settings.index.final_pipeline: must be the name of a pipeline; got [1]",
            id="final pipeline",
        ),
    ],
)
def test_what_cannot_be_a_base_is_refused(raw, sentence):
    with pytest.raises(InvalidInput) as refused:
        BaseMapping.parse(raw)

    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"index": {"final_pipeline": "p"}}, "p", id="nested"),
        pytest.param({"index.final_pipeline": "p"}, "p", id="dotted"),
        pytest.param({"final_pipeline": "p"}, "p", id="without index"),
        pytest.param({"final_pipeline": "_none"}, None, id="_none"),
    ],
)
def test_final_pipeline_is_taken_out_of_the_settings(settings, expected):
    base = BaseMapping.parse({"settings": settings})

    assert base.final_pipeline == expected
    assert base.settings == {}


def test_settings_are_flattened_under_their_full_names():
    settings = {"index": {"knn": True, "analysis": {"filter": {"f": {"stopwords": ["a"]}}}}, "number_of_shards": "1"}

    assert flatten_settings(settings) == {
        "index.knn": True,
        "index.analysis.filter.f.stopwords": ["a"],
        "index.number_of_shards": "1",
    }


@pytest.mark.parametrize("path", ["title", "author.name", "author.address.city", "venue.name", "reviews.text"])
def test_sources_are_text_fields_at_any_depth(path):
    BaseMapping.parse(BASE).check_source(path)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        pytest.param("abstract", "[abstract] is not a field of the base mapping", id="missing"),
        pytest.param("", "[] is not a field of the base mapping", id="empty"),
        pytest.param("author.age", "[author.age] is not a field of the base mapping", id="missing below"),
        pytest.param("title.raw", "[title.raw] is a sub-field of [title]: documents hold only [title]", id="sub-field"),
        pytest.param(
            "year",
            "[year] is of type [integer]; only keyword, match_only_text, search_as_you_type, text, wildcard hold text",
            id="number",
        ),
        pytest.param(
            "author",
            "[author] is of type [object]; only keyword, match_only_text, search_as_you_type, text, wildcard hold text",
            id="object",
        ),
        pytest.param(
            "other",
            "[other] is of type [alias]; only keyword, match_only_text, search_as_you_type, text, wildcard hold text",
            id="field alias",
        ),
    ],
)
def test_other_sources_are_refused(path, problem):
    with pytest.raises(InvalidInput) as refused:
        BaseMapping.parse(BASE).check_source(path)

    assert str(refused.value) == f"source: {problem}"


@pytest.mark.parametrize("field", ["title", "author", "venue"])
def test_a_vector_field_must_not_clash_with_the_base(field):
    with pytest.raises(InvalidInput, match=rf"^field: \[{field}\] is already a field"):
        BaseMapping.parse(BASE).check_free(field)


def test_a_base_that_keeps_the_vector_out_of_source_is_refused():
    base = BaseMapping.parse({"_source": {"excludes": ["blob", "emb*"]}})

    with pytest.raises(InvalidInput) as refused:
        base.check_kept(a_binding())

    assert str(refused.value) == (
        "mapping._source: leaves out [embedding, embedding_meta]: every update would take the vector out of the index, "
        "and repair could not read the texts"
    )
    BaseMapping.parse({"_source": {"excludes": ["blob"]}}).check_kept(a_binding())
