"""Searches that the bridge fuses, in every form in which they may come: several at once, in pipelines, at one point."""

from typing import Any

import pytest

from tests.cluster.bridge.searches.fusion.test_search_options import (
    AGGREGATIONS,
    NOTE,
    QUERY,
    changeable,
    filled,
    set_search,
)
from tests.cluster.bridges import Papers
from tests.support.http import Answer, ndjson

__all__ = ["changeable", "filled"]

VECTORS = {"normalization-processor": {"combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.1, 0.9]}}}}  # fmt: skip
OWN = {
    "request_processors": [{"neural_query_enricher": {"default_model_id": "some"}}],
    "phase_results_processors": [VECTORS],
    "response_processors": [{"hybrid_score_explanation": {}}],
}
RERANKING = {"response_processors": [{"rerank": {"by_field": {"target_field": "year"}}}]}


def untimed(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("took", "status")}


def note(answer: Answer) -> str:
    return answer.headers["X-Sidecar-Search"]


async def test_a_pipeline_is_kept_where_the_bridge_fuses(changeable: Papers, unique: str) -> None:
    path = f"/{changeable.index}/_search"
    body = {"query": QUERY, "aggs": AGGREGATIONS}
    assert (await changeable.direct("PUT", f"/_search/pipeline/{unique}-own", OWN)).status == 200
    cluster = await changeable.bridge("POST", path, {"query": QUERY, "search_pipeline": OWN})
    named = await changeable.bridge("POST", f"{path}?search_pipeline={unique}-own", body)
    inline = await changeable.bridge("POST", path, {**body, "search_pipeline": OWN})
    setting = {"index.search.default_pipeline": f"{unique}-own"}
    assert (await changeable.bridge("PUT", f"/{changeable.index}/_settings", setting)).status == 200
    default = await changeable.bridge("POST", path, body)

    own = NOTE.replace("min_max(0.5,0.5)", "own") + "bridge"
    assert (note(named), note(inline), note(default)) == (own, own, own)
    scores = {hit["_id"]: hit["_score"] for hit in cluster.json["hits"]["hits"]}
    for answer in (named, inline, default):
        assert {h["_id"]: h["_score"] for h in answer.json["hits"]["hits"]} == pytest.approx(scores, abs=1e-5)
    await changeable.direct("PUT", f"/{changeable.index}/_settings", {"index.search.default_pipeline": "_none"})
    await changeable.direct("DELETE", f"/_search/pipeline/{unique}-own")


async def test_a_default_pipeline_that_is_switched_off_runs_for_no_leg(changeable: Papers, unique: str) -> None:
    path = f"/{changeable.index}/_search"
    body = {"query": QUERY, "aggs": AGGREGATIONS, "_source": False}  # which the pipeline could not rerank
    plain = await changeable.bridge("POST", path, body)
    assert (await changeable.direct("PUT", f"/_search/pipeline/{unique}-own", RERANKING)).status == 200
    setting = {"index.search.default_pipeline": f"{unique}-own"}
    assert (await changeable.bridge("PUT", f"/{changeable.index}/_settings", setting)).status == 200
    off = await changeable.bridge("POST", f"{path}?search_pipeline=_none", body)
    on = await changeable.bridge("POST", path, {**body, "_source": True})

    assert (note(off), untimed(off.json)) == (NOTE + "bridge", untimed(plain.json))
    assert note(on) == "lexical; reason=search_pipeline"
    await changeable.direct("PUT", f"/{changeable.index}/_settings", {"index.search.default_pipeline": "_none"})
    await changeable.direct("DELETE", f"/_search/pipeline/{unique}-own")


@pytest.mark.parametrize(("where", "noted"), [("auto", "bridge"), ("cluster", "cluster")])
async def test_a_point_in_time_is_searched_by_meaning(changeable: Papers, where: str, noted: str) -> None:
    await set_search(changeable, where=where)
    made = await changeable.bridge("POST", f"/{changeable.index}/_search/point_in_time?keep_alive=1m")
    pit = {"id": made.json["pit_id"]}
    before = await changeable.bridge("POST", f"/{changeable.index}/_search", {"query": QUERY})
    assert (await changeable.bridge("DELETE", f"/{changeable.index}/_doc/1?refresh=true")).status == 200

    one = await changeable.bridge("POST", "/_search", {"query": QUERY, "pit": pit})
    several = await changeable.bridge("POST", "/_msearch", ndjson({}, {"query": QUERY, "pit": pit}))
    wrong = [
        await way("POST", f"/{changeable.index}/_search", {"query": QUERY, "pit": pit})
        for way in (changeable.bridge, changeable.direct)
    ]

    assert (note(one), note(several)) == (NOTE + noted, "msearch; hybrid=1")
    assert {hit["_id"]: hit["_score"] for hit in one.json["hits"]["hits"]} == pytest.approx(
        {hit["_id"]: hit["_score"] for hit in before.json["hits"]["hits"]}, abs=1e-5
    )
    assert untimed(several.json["responses"][0]) == untimed(one.json)
    assert one.json["pit_id"] == pit["id"]
    assert (wrong[0].status, wrong[0].json) == (400, wrong[1].json)
    await changeable.direct("DELETE", "/_search/point_in_time", {"pit_id": [pit["id"]]})


async def test_what_the_cluster_does_not_collapse_by_it_refuses_itself(filled: Papers) -> None:
    body = {"query": QUERY, "collapse": {"field": "title"}}
    through = await filled.bridge("POST", f"/{filled.index}/_search", body)
    direct = await filled.direct("POST", f"/{filled.index}/_search", body)

    assert note(through) == "lexical; reason=option"
    assert (through.status, through.json) == (direct.status, direct.json) == (400, direct.json)


async def test_groups_of_several_values_are_the_clusters_to_refuse(changeable: Papers) -> None:
    several = {"title": "Dogs", "abstract": "and cats", "year": [2001, 2002]}
    assert (await changeable.bridge("PUT", f"/{changeable.index}/_doc/5?refresh=true", several)).status == 201
    body = {"query": QUERY, "collapse": {"field": "year"}}
    through = await changeable.bridge("POST", f"/{changeable.index}/_search", body)
    direct = await changeable.direct("POST", f"/{changeable.index}/_search", body)

    assert note(through) == "lexical; reason=refused"
    assert through.status == direct.status
