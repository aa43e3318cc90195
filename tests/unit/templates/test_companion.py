"""The companion of a template reads a query as the template's own indices do."""

from sidecar.jsontext import Json
from sidecar.templates.base import BaseMapping
from sidecar.templates.companion import META, compile_companion, identity

BASE = BaseMapping.parse(
    {
        "mappings": {"_meta": {"owner": "us"}, "properties": {"title": {"type": "text", "analyzer": "mine"}}},
        "settings": {
            "index.analysis.analyzer.mine.type": "keyword",
            "index.number_of_shards": 5,
            "index.lifecycle.name": "old",
        },
    }
)
VECTOR: Json = {
    "template": {"mappings": {"_meta": {"sidecar": 1}, "properties": {"embedding": {"type": "knn_vector"}}}}
}


def compiled(base: BaseMapping = BASE, template: str = "papers") -> dict[str, dict[str, Json]]:
    document = compile_companion(template, base, VECTOR)
    assert isinstance(document, dict)
    return document  # type: ignore[return-value]


def test_it_has_the_mapping_of_the_template() -> None:
    assert compiled()["mappings"]["properties"] == {
        "title": {"type": "text", "analyzer": "mine"},
        "embedding": {"type": "knn_vector"},
    }


def test_it_keeps_the_settings_that_say_how_a_query_is_read_and_no_others() -> None:
    settings = compiled()["settings"]

    assert settings["index.analysis.analyzer.mine.type"] == "keyword"
    assert settings["index.number_of_shards"] == 1
    assert settings["index.final_pipeline"] == "_none"
    assert "index.lifecycle.name" not in settings


def test_it_says_whose_it_is_and_of_what_it_was_made() -> None:
    other = BaseMapping.parse({"mappings": {"properties": {"title": {"type": "text"}}}})

    assert compiled()["mappings"]["_meta"].keys() == {"owner", "sidecar", META}
    assert identity(compiled()) == identity(compiled())
    assert identity(compiled()) != identity(compiled(other))
    assert identity(compiled()) != identity(compiled(template="articles"))


def test_another_index_is_no_companion() -> None:
    assert identity({"mappings": {"_meta": {"sidecar": {}}}}) is None
    assert identity({}) is None
