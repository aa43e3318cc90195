"""Where a search is fused: in the cluster if it can, in the bridge if it must, and never without saying so."""

from typing import Any

import pytest
from pydantic import ValidationError

from sidecar.bridge.searches.query import TextSearch, in_bridge, plan_search
from sidecar.model import Fusion, SearchBinding
from tests.support.bindings import an_index, bound

QUERY: dict[str, Any] = {"query": {"match": {"title": "dogs"}}}
AGGREGATIONS: dict[str, Any] = {**QUERY, "aggs": {"y": {"terms": {"field": "year"}}}}
NONE: dict[str, str] = {}


def note(
    body: dict[str, Any], url: dict[str, str] = NONE, index: dict[str, Any] | None = None, **search: object
) -> str:
    binding = bound(search=SearchBinding.model_validate({"field": "embedding", **search}))
    return plan_search(body, (an_index(binding=binding, **{"shards": 3, **(index or {})}),), None, url).note


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
        pytest.param({"body": AGGREGATIONS, "where": "cluster"}, "lexical; reason=aggregations", id="not in the bridge"),
        pytest.param({"body": AGGREGATIONS, "mode": "semantic"}, "lexical; reason=aggregations", id="one leg"),
        pytest.param({"body": AGGREGATIONS, "index": {"search_pipeline": "own"}}, "lexical; reason=aggregations",
                     id="aggregations and a pipeline"),
        pytest.param({"body": QUERY, "where": "bridge", "index": {"search_pipeline": "own"}},
                     "lexical; reason=search_pipeline", id="a pipeline would run for each leg"),
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
    ("url", "where", "expected"),
    [
        pytest.param({}, "auto", hybrid("bridge"), id="in the bridge"),
        pytest.param({}, "cluster", "lexical; reason=fusion", id="not if the binding forbids it"),
        pytest.param({"filter_path": "hits"}, "auto", "lexical; reason=fusion", id="not with every option"),
        pytest.param({"search_pipeline": "_none"}, "auto", "lexical; reason=fusion",
                     id="not where the index's own pipeline would have to be switched off"),
    ],
)  # fmt: skip
def test_a_cluster_that_does_not_know_hybrid(url: dict[str, str], where: str, expected: str) -> None:
    binding = bound(search=SearchBinding.model_validate({"field": "embedding", "where": where}))
    indices = (an_index(binding=binding, shards=3),)
    plan = plan_search(QUERY, indices, None, url)

    assert isinstance(plan, TextSearch)
    assert in_bridge(plan, QUERY, url, indices).note == expected


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
