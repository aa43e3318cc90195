import pytest

from sidecar.errors import InvalidInput
from sidecar.model import Engine, IndexBinding, SpaceType
from sidecar.templates.compiler import compile_guard, compile_template, default_base
from tests.support.templates import MINILM

DOT = MINILM.model_copy(
    update={
        "id": "multi-qa-mpnet-base-dot-v1@1",
        "normalized": False,
        "dimension": 768,
        "space_type": SpaceType.INNERPRODUCT,
    }
)
ARTICLES = {
    "mappings": {
        "dynamic": "strict",
        "_meta": {"owner": "library"},
        "properties": {"headline": {"type": "text"}, "body": {"properties": {"text": {"type": "text"}}}},
    },
    "settings": {"number_of_shards": 5, "index": {"final_pipeline": "clean", "default_pipeline": "enrich"}},
}


def compiled(name="papers", version=MINILM, base=None, **options):
    options = {"index_patterns": ["papers*"], "source": ["title", "abstract"]} | options
    return compile_template(name, version, base or default_base(), **options)


def test_papers_under_minilm(golden):
    golden("templates/papers-minilm.json", dict(compiled().documents))


def test_articles_under_an_inner_product_model_with_faiss(golden):
    articles = compiled(
        "articles",
        DOT,
        ARTICLES,
        index_patterns=["articles*", "news"],
        source=["headline", "body.text"],
        field="vector",
        engine=Engine.FAISS,
        join=" ",
        priority=250,
    )

    golden("templates/articles-dot-faiss.json", dict(articles.documents))


def test_documents_come_in_an_order_that_is_safe_to_install():
    kinds = [path.split("/")[1] for path in compiled().documents]

    assert kinds == [
        "_ingest", "_search", "_component_template", "_component_template", "_index_template", "papers--companion",
    ]  # fmt: skip


def test_the_mapping_says_what_the_index_is_bound_to():
    template = compiled()

    component = template.documents[f"/_component_template/{template.names.vector}"]
    assert IndexBinding.from_meta(component["template"]["mappings"]["_meta"]) == template.binding


def test_a_given_space_type_wins_over_the_versions():
    assert compiled(space_type=SpaceType.L2).binding.fields["embedding"].space_type is SpaceType.L2
    assert compiled(version=DOT).binding.fields["embedding"].space_type is SpaceType.INNERPRODUCT


def test_the_bases_own_number_of_shards_stays():
    template = compiled("articles", base=ARTICLES, source=["headline"])

    component = template.documents[f"/_component_template/{template.names.vector}"]
    assert "index.number_of_shards" not in component["template"]["settings"]


def test_the_guard_calls_the_bases_own_final_pipeline_first():
    template = compiled("articles", base=ARTICLES, source=["headline"])

    first, guard = template.documents[f"/_ingest/pipeline/{template.names.guard}"]["processors"]
    assert first == {"pipeline": {"name": "clean"}}
    assert guard.keys() == {"script"}
    assert template.final_pipeline == "clean"


def test_a_guard_may_watch_over_several_fields():
    one = compiled().binding.fields["embedding"]
    other = one.model_copy(update={"field": "other", "chunking": {"tokens": 64}})

    scripts = [processor["script"] for processor in compile_guard("papers", [one, other])["processors"]]
    assert [script["params"]["meta_field"] for script in scripts] == ["embedding_meta", "other_meta"]
    assert [script["params"]["prefix"] for script in scripts] == [one.space, one.space + '{"tokens":64}']


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"source": []}, "source: at least one field is needed", id="no source"),
        pytest.param({"source": ["title", "title"]}, "source: [title] is named twice", id="source twice"),
        pytest.param({"source": ["body"]}, "source: [body] is not a field of the base mapping", id="unknown source"),
        pytest.param({"join": ""}, "join: must be well-formed text and not empty; got ['']", id="empty join"),
        pytest.param(
            {"join": "\udc00"}, r"join: must be well-formed text and not empty; got ['\udc00']", id="half a character"
        ),
        pytest.param({"field": "content"}, "field: [content] is already a field of the base mapping", id="field taken"),
        pytest.param(
            {
                "base": {"properties": {"title": {"type": "text"}, "embedding_meta": {"type": "object"}}},
                "source": ["title"],
            },
            "field: [embedding_meta] is already a field of the base mapping",
            id="provenance taken",
        ),
        pytest.param({"index_patterns": []}, "index_patterns: at least one is needed", id="no pattern"),
        pytest.param({"priority": -1}, "priority: must not be negative; got [-1]", id="priority"),
        pytest.param(
            {"version": MINILM.model_copy(update={"element_type": "binary"})},
            "space_type: engine [lucene] does not offer [cosinesimil] for vectors of [binary]",
            id="binary",
        ),
        pytest.param(
            {"version": MINILM.model_copy(update={"element_type": "byte"}), "engine": Engine.FAISS},
            "space_type: engine [faiss] does not offer [cosinesimil] for vectors of [byte]; possible: innerproduct, l2",
            id="bytes in faiss by cosine",
        ),
        pytest.param(
            {
                "base": {
                    "mappings": default_base()["mappings"],
                    "settings": {"final_pipeline": "sidecar-papers-guard-01234567"},
                }
            },
            "mapping.settings.index.final_pipeline: [sidecar-papers-guard-01234567] is a guard of this template",
            id="base taken from a bound index",
        ),
    ],
)
def test_what_cannot_be_compiled_is_refused_by_field_and_value(options, sentence):
    with pytest.raises(InvalidInput) as refused:
        compiled(**options)

    assert str(refused.value) == sentence


@pytest.mark.parametrize("space_type", SpaceType)
@pytest.mark.parametrize("engine", Engine)
def test_float_vectors_are_compared_in_any_way_by_both_engines(engine, space_type):
    compiled(engine=engine, space_type=space_type)
