"""Where a search is fused: in the cluster if it can, in the bridge if it must, and never without saying so."""

from typing import Any

import pytest
from pydantic import ValidationError

from sidecar.bridge.searches.rewrite.pipelines import bridge_fusion
from sidecar.bridge.searches.rewrite.plan import TextSearch, in_bridge, plan_search, settled, with_pipeline
from sidecar.model import Fusion, SearchBinding
from tests.support.bindings import an_index, bound
from tests.support.points import point_in_time

QUERY: dict[str, Any] = {"query": {"match": {"title": "dogs"}}}
AGGREGATIONS: dict[str, Any] = {**QUERY, "aggs": {"y": {"terms": {"field": "year"}}}}
POINT = point_in_time(*(("papers", number) for number in range(3)))
NONE: dict[str, str] = {}


def note(
    body: dict[str, Any], url: dict[str, str] = NONE, index: dict[str, Any] | None = None, **search: object
) -> str:
    binding = bound(search=SearchBinding.model_validate({"field": "embedding", **search}))
    described = {"shards": 3, "mapped": frozenset({("year", "integer"), ("title", "text")}), **(index or {})}
    return plan_search(body, (an_index(binding=binding, **described),), None, url).note


def hybrid(where: str, fusion: str = "min_max(0.5,0.5)") -> str:
    return f"hybrid; model=m@1; fusion={fusion}; where={where}"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({"body": QUERY}, hybrid("cluster"), id="the cluster, where nothing is against it"),
        pytest.param({"body": QUERY, "where": "bridge"}, hybrid("bridge"), id="the binding's wish"),
        pytest.param({"body": AGGREGATIONS}, hybrid("bridge"), id="aggregations"),
        pytest.param({"body": {**QUERY, "track_total_hits": True}}, hybrid("bridge"), id="exact totals"),
        pytest.param({"body": QUERY, "url": {"track_total_hits": "true"}}, hybrid("bridge"), id="exact totals, by URL"),
        pytest.param({"body": QUERY, "fusion": {"technique": "z_score"}}, hybrid("bridge", "z_score(0.5,0.5)"),
                     id="a technique of later clusters"),
        pytest.param({"body": QUERY, "fusion": {"technique": "rrf"}}, hybrid("cluster", "rrf"), id="reciprocal ranks"),
        pytest.param({"body": {**QUERY, "sort": ["_score", "year"]}}, hybrid("bridge"), id="a field for equal scores"),
        pytest.param({"body": QUERY, "url": {"sort": "_score,year"}}, hybrid("bridge"), id="such a field, by URL"),
        pytest.param({"body": {**QUERY, "sort": ["_score", "year"]}, "where": "cluster"}, "lexical; reason=sort",
                     id="such a field, not in the bridge"),
        pytest.param({"body": {**QUERY, "sort": ["_score", "year"]}, "mode": "semantic"}, "semantic; model=m@1",
                     id="such a field, for the hits of one leg"),
        pytest.param({"body": {**QUERY, "explain": True}}, hybrid("bridge"), id="explain"),
        pytest.param({"body": QUERY, "url": {"explain": "true"}}, hybrid("bridge"), id="explain, by URL"),
        pytest.param({"body": {**QUERY, "explain": True}, "mode": "semantic"}, "semantic; model=m@1",
                     id="explain, of one leg"),
        pytest.param({"body": {**QUERY, "explain": True}, "where": "cluster"}, "lexical; reason=option",
                     id="explain, not in the bridge"),
        pytest.param({"body": {**QUERY, "sort": ["_score", "title"]}}, "lexical; reason=sort", id="a text for them"),
        pytest.param({"body": AGGREGATIONS, "where": "cluster"}, "lexical; reason=aggregations", id="not in the bridge"),
        pytest.param({"body": AGGREGATIONS, "mode": "semantic"}, "lexical; reason=aggregations", id="one leg"),
        pytest.param({"body": AGGREGATIONS, "index": {"search_pipeline": "own"}}, hybrid("bridge"),
                     id="a pipeline, which is looked at next"),
        pytest.param({"body": {**QUERY, "from": 90}}, hybrid("cluster"), id="the last page of the window"),
        pytest.param({"body": {**QUERY, "from": 91}}, hybrid("bridge"), id="a page that ends behind the window"),
        pytest.param({"body": {**QUERY, "size": 101}}, hybrid("bridge"), id="a page larger than the window"),
        pytest.param({"body": {**QUERY, "size": 101}, "where": "cluster"}, hybrid("cluster"),
                     id="such a page, not in the bridge"),
        pytest.param({"body": {**QUERY, "size": 101}, "url": {"format": "yaml"}}, hybrid("cluster"),
                     id="such a page, with an option that only the cluster can answer"),
        pytest.param({"body": {**QUERY, "pit": POINT}}, hybrid("bridge"), id="a point in time"),
        pytest.param({"body": {**QUERY, "pit": POINT}, "where": "cluster"}, hybrid("cluster"),
                     id="a point in time, not in the bridge"),
        pytest.param({"body": {**QUERY, "pit": POINT}, "index": {"shards": 2}}, hybrid("cluster"),
                     id="a point in time of some of the shards"),
        pytest.param({"body": {**QUERY, "pit": {"id": "x"}}}, "lexical; reason=option", id="an unreadable one"),
        pytest.param({"body": QUERY, "url": {"size": "9" * 5_000}}, "lexical; reason=option", id="more digits than int takes"),
        pytest.param({"body": {**QUERY, "collapse": {"field": "year"}}}, hybrid("bridge"), id="collapse"),
        pytest.param({"body": {**QUERY, "collapse": {"field": "title"}}}, "lexical; reason=option",
                     id="collapse by a field that cannot be collapsed by"),
        pytest.param({"body": {**QUERY, "collapse": {"field": "year", "inner_hits": {"name": "n"}}}},
                     "lexical; reason=option", id="collapse with hits inside the groups"),
        pytest.param({"body": AGGREGATIONS, "index": {"shards": 0}}, "lexical; reason=aggregations",
                     id="shards not known"),
        pytest.param({"body": {**QUERY, "stats": ["g"]}, "url": {"format": "yaml"}, "where": "bridge"},
                     "lexical; reason=fusion", id="an option that only the cluster can answer"),
        pytest.param({"body": {**AGGREGATIONS, "min_score": 1}}, "lexical; reason=min_score", id="not eligible anyway"),
    ],
)  # fmt: skip
def test_where_a_search_is_fused(asked: dict[str, Any], expected: str) -> None:
    assert note(**asked) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({**QUERY, "size": 101}, hybrid("cluster"), id="a page that the cluster can fuse"),
        pytest.param(AGGREGATIONS, "lexical; reason=search_pipeline", id="a search that it cannot fuse"),
    ],
)
def test_a_pipeline_that_only_the_cluster_runs(body: dict[str, Any], expected: str) -> None:
    plan = plan_search(body, (an_index(binding=bound(), shards=3, search_pipeline="own"),), None, {})

    assert isinstance(plan, TextSearch)
    assert with_pipeline(plan, {"response_processors": [{"truncate_hits": {"target_size": 2}}]}).note == expected


@pytest.mark.parametrize(
    ("url", "where", "expected"),
    [
        pytest.param({}, "auto", hybrid("bridge"), id="in the bridge"),
        pytest.param({}, "cluster", "lexical; reason=fusion", id="not if the binding forbids it"),
        pytest.param({"format": "yaml"}, "auto", "lexical; reason=fusion", id="not with every option"),
        pytest.param({"search_pipeline": "_none"}, "auto", hybrid("bridge"), id="without the index's own pipeline"),
    ],
)  # fmt: skip
def test_a_cluster_that_does_not_know_hybrid(url: dict[str, str], where: str, expected: str) -> None:
    binding = bound(search=SearchBinding.model_validate({"field": "embedding", "where": where}))
    indices = (an_index(binding=binding, shards=3),)
    plan = plan_search(QUERY, indices, None, url)

    assert isinstance(plan, TextSearch)
    assert in_bridge(plan, QUERY, url, indices).note == expected


MORE_OF_VECTORS: dict[str, Any] = {
    "normalization": {"technique": "l2"},
    "combination": {"technique": "geometric_mean", "parameters": {"weights": [0.3, 0.7]}},
}


def normaliser(**options: Any) -> dict[str, Any]:
    return {"phase_results_processors": [{"normalization-processor": {**MORE_OF_VECTORS, **options}}]}


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        pytest.param({}, Fusion(), id="empty"),
        pytest.param({"request_processors": [{"neural_query_enricher": {}}]}, Fusion(), id="harmless before"),
        pytest.param({"request_processors": [{"filter_query": {}}]}, None, id="something else before"),
        pytest.param(normaliser(), Fusion(technique="l2", combination="geometric_mean", weights=(0.3, 0.7)), id="own"),
        pytest.param({"phase_results_processors": [{"normalization-processor": {"tag": "t"}}]}, Fusion(), id="defaults"),
        pytest.param({"phase_results_processors": [{"score-ranker-processor": {"combination": {"technique": "rrf"}}}]},
                     Fusion(technique="rrf"), id="ranks"),
        pytest.param({"phase_results_processors": [
            {"score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": 10}}}]}, None,
            id="ranks of another constant"),
        pytest.param(normaliser(normalization={"technique": "min_max", "parameters": {"lower_bounds": []}}), None,
                     id="bounds"),
        pytest.param(normaliser(normalization={"technique": "rrf"}), None, id="no normalisation"),
        pytest.param(normaliser(combination={"parameters": {"weights": [0.2, 0.2]}}), None, id="weights"),
        pytest.param({"phase_results_processors": [{"a": {}}, {"b": {}}]}, None, id="several between"),
        pytest.param({"phase_results_processors": [{}]}, None, id="nothing between"),
        pytest.param({"response_processors": [{"hybrid_score_explanation": {}}]}, Fusion(), id="idle after"),
        pytest.param({"response_processors": [{"split": {"field": "a", "separator": ","}}, {"sort": {"field": "b"}}]},
                     Fusion(), id="of one hit"),
        pytest.param({"response_processors": [{"split": {"field": "a", "separator": ",", "ignore_failure": True}}]},
                     None, id="of one hit, until one fails"),
        pytest.param({"response_processors": [{"rename_field": {"field": "a", "target_field": "b"}}]}, None,
                     id="fails by what came before"),
        pytest.param({"response_processors": [
            {"rename_field": {"field": "a", "target_field": "b", "ignore_missing": True}}]}, Fusion(), id="renames"),
        pytest.param({"response_processors": [{"truncate_hits": {"target_size": 2}}]}, None, id="of all hits"),
    ],
)  # fmt: skip
def test_a_pipeline_of_its_own_is_kept_where_the_bridge_does_the_same(
    pipeline: dict[str, Any], expected: Fusion | None
) -> None:
    assert bridge_fusion(Fusion(), pipeline) == expected


@pytest.mark.parametrize(
    "fusion",
    [
        pytest.param({"technique": "z_score", "combination": "harmonic_mean"}, id="z_score knows one mean"),
        pytest.param({"technique": "rrf", "weights": (0.3, 0.7)}, id="ranks have no weights"),
    ],
)
def test_what_no_cluster_could_fuse_is_no_binding(fusion: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fusion.model_validate(fusion)


@pytest.mark.parametrize(
    ("body", "weights", "expected"),
    [
        pytest.param({**QUERY, "sort": ["_score", "year"]}, (0.5, 0.5), hybrid("bridge"), id="both legs have weight"),
        pytest.param({**QUERY, "sort": ["_score", "year"]}, (1, 0), "lexical; reason=sort", id="one has none"),
        pytest.param(AGGREGATIONS, (1, 0), hybrid("bridge", "min_max(1,0)"), id="without such a sort"),
    ],
)
def test_fields_decide_between_equal_scores_only_if_both_legs_have_weight(
    body: dict[str, Any], weights: tuple[float, float], expected: str
) -> None:
    binding = bound(search=SearchBinding(field="embedding", fusion=Fusion(weights=weights)))
    index = an_index(binding=binding, shards=3, mapped=frozenset({("year", "integer")}))
    assert settled(plan_search(body, (index,), None, {})).note == expected
