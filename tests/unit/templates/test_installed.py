import pytest

from sidecar.templates.installed import Installed, Summary, aliases_of_indices, pipelines_of_indices, summaries
from tests.support.templates import MINILM, NEXT, compiled, installed


def test_the_clusters_answers_are_parsed():
    parsed = Installed.parse(
        index_templates={"index_templates": [{"name": "a", "index_template": {"priority": 1}}]},
        component_templates={"component_templates": [{"name": "b", "component_template": {"template": {}}}]},
        ingest_pipelines={"c": {"processors": []}},
        search_pipelines={"d": {}},
        plugins={"nodes": {"1": {"plugins": [{"name": "opensearch-knn"}, {"name": "opensearch-neural-search"}]}}},
        companions={"e--companion": {"mappings": {}}},
    )

    assert parsed == Installed(
        {
            "/_index_template/a": {"priority": 1},
            "/_component_template/b": {"template": {}},
            "/_ingest/pipeline/c": {"processors": []},
            "/_search/pipeline/d": {},
            "/e--companion": {"mappings": {}},
        },
        fuses=True,
    )


@pytest.mark.parametrize(
    "plugins",
    [
        pytest.param({}, id="none"),
        pytest.param({"nodes": {"1": {"plugins": [{"name": "opensearch-knn"}]}}}, id="another"),
        pytest.param(
            {"nodes": {"1": {"plugins": [{"name": "opensearch-neural-search"}]}, "2": {}}}, id="not every node"
        ),
    ],
)
def test_a_cluster_fuses_if_every_node_has_the_plugin(plugins):
    parsed = Installed.parse(
        index_templates={},
        component_templates={},
        ingest_pipelines={},
        search_pipelines={},
        plugins=plugins,
        companions={},
    )

    assert parsed == Installed({}, fuses=False)


def test_templates_are_listed_with_their_indices():
    pipelines = pipelines_of_indices(
        {
            "papers-1": {"settings": {"index.final_pipeline": compiled().names.guard}},
            "papers-0": {"settings": {"index.final_pipeline": "sidecar-papers-guard-01234567"}},
            "other": {"settings": {"index.final_pipeline": "clean", "index.search.default_pipeline": "x"}},
            "found": {"settings": {"index.search.default_pipeline": compiled().names.search}},
        }
    )
    there = installed(
        compiled(),
        compiled("books", NEXT, index_patterns=["books*"], field="vector"),
        others={"/_index_template/x": {"index_patterns": ["x"], "composed_of": ["sidecar-papers-base"]}},
    )

    assert summaries(there, pipelines) == (
        Summary("books", NEXT.id, "vector", ("title",), ("books*",), 100, (), "books--companion"),
        Summary(
            "papers",
            MINILM.id,
            "embedding",
            ("title",),
            ("papers*",),
            100,
            ("found", "papers-0", "papers-1"),
            "papers--companion",
        ),
    )


def test_the_winner_has_the_highest_priority_of_those_that_match():
    there = installed(
        compiled(),
        others={
            "/_index_template/low": {"index_patterns": ["papers-*"], "priority": 1},
            "/_index_template/high": {"index_patterns": ["papers-*"], "priority": 200},
        },
    )

    assert there.winner("papers-1") == "high"
    assert there.winner("papers") == "sidecar-papers"
    assert there.winner("books") is None


def test_aliases_are_parsed():
    answer = {"papers-1": {"aliases": {"papers": {"is_write_index": True}}}, "x": {"aliases": {}}}

    assert aliases_of_indices(answer) == {"papers-1": frozenset({"papers"}), "x": frozenset()}
