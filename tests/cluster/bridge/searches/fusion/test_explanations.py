"""`explain` of searches by meaning: the words and numbers that the plugin's `hybrid_score_explanation` has."""

from collections.abc import Mapping
from typing import Any

import pytest

from sidecar.model import Fusion
from tests.cluster.bridge.searches.fusion.test_search import FUSIONS, one_shard, three_indices, three_shards
from tests.cluster.bridge.searches.test_pages import QUERY, filled, ids, pages, search
from tests.cluster.bridges import Papers
from tests.support.corpus import WINDOW, Corpus, processor, same
from tests.support.http import ndjson

__all__ = ["filled", "one_shard", "three_indices", "three_shards"]


def numbers(explanation: Mapping[str, Any], depth: int = 3) -> Any:
    """The words and values of an explanation. The cluster adds up scores in several ways, so they are rounded."""
    parts = [numbers(part, depth - 1) for part in explanation["details"]] if depth else []
    return explanation["description"], pytest.approx(explanation["value"], abs=1e-5), parts


async def agree(documents: Corpus, fusion: Fusion) -> None:
    """With `explain` 2.19.1 normalises by `min_max` twice, and then tells the normalised scores by place, not by hit.

    So the scores are compared with those without it, and normalised scores where the place has not changed.
    """
    legs = documents.legs()
    pipeline = {
        "phase_results_processors": [processor(fusion)],
        "response_processors": [{"hybrid_score_explanation": {}}],
    }
    hybrid = {"hybrid": {"queries": list(legs), "pagination_depth": WINDOW}}
    body = {"query": hybrid, "search_pipeline": pipeline, "_source": False, "size": 300}
    scored, explained = [
        (await documents.call("POST", f"/{documents.expression}/_search", {**body, "explain": explain}))["hits"]["hits"]
        for explain in (False, True)
    ]
    ours = (await documents.in_bridge(legs, fusion, explain=True, _source=False, size=300))["hits"]["hits"]
    place_of = {hit["_id"]: place for place, hit in enumerate(explained)}

    assert len(scored) > WINDOW
    assert same(ours[: len(scored)], scored)
    for place, hit in enumerate(ours[: len(scored)]):
        other = explained[place_of[hit["_id"]]]
        assert (list(hit), hit["_shard"]) == (list(other), other["_shard"])
        assert hit["_explanation"]["value"] == hit["_score"]
        (words, _, parts), (its_words, _, its_parts) = numbers(hit["_explanation"]), numbers(other["_explanation"])
        assert words == its_words
        assert [(became, raw) for became, _, raw in parts] == [(became, raw) for became, _, raw in its_parts]
        if place_of[hit["_id"]] == place:
            assert parts == its_parts
    for hit in ours[len(scored) :]:
        assert hit["_explanation"]["description"] == "score of a leg behind the window, scaled down, of:"
        assert hit["_explanation"]["value"] == hit["_score"]
        assert len(hit["_explanation"]["details"]) == 1


@pytest.mark.parametrize("fusion", FUSIONS)
async def test_one_shard_is_explained_as_by_the_cluster(one_shard: Corpus, fusion: Fusion) -> None:
    await agree(one_shard, fusion)


@pytest.mark.parametrize("fusion", FUSIONS)
async def test_three_shards_are_explained_as_by_the_cluster(three_shards: Corpus, fusion: Fusion) -> None:
    await agree(three_shards, fusion)


async def test_three_indices_are_explained_as_by_the_cluster(three_indices: Corpus) -> None:
    await agree(three_indices, Fusion(weights=(0.3, 0.7)))


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        pytest.param("", {"explain": True}, id="in the body"),
        pytest.param("", {"explain": "true"}, id="as a text"),
        pytest.param("?explain=true", {}, id="in the URL"),
        pytest.param("?explain=true", {"explain": False}, id="the URL wins"),
        pytest.param("", {"explain": True, "aggs": {"years": {"terms": {"field": "year"}}}}, id="beside aggregations"),
        pytest.param("", {"explain": True, "sort": ["_score", "year"]}, id="beside a sort"),
        pytest.param("", {"explain": True, "collapse": {"field": "year"}, "size": 3}, id="beside groups"),
        pytest.param("", {"explain": True, "highlight": {"fields": {"title": {}}}}, id="beside highlights"),
        pytest.param("?sidecar_fusion=z_score", {"explain": True}, id="of a technique of later clusters"),
    ],
)
async def test_every_hit_is_explained(filled: Papers, parameters: str, options: dict[str, Any]) -> None:
    without = {name: value for name, value in options.items() if name != "explain"}
    plain, _ = await search(filled, parameters.replace("?explain=true", ""), **without)
    hits, note = await search(filled, parameters, **options)

    assert note.startswith("hybrid; ")
    assert ids(hits) == ids(plain)
    assert hits["total"] == plain["total"]
    for hit in hits["hits"]:
        assert hit["_explanation"]["value"] == hit["_score"]
        assert 1 <= len(hit["_explanation"]["details"]) <= 2
        assert {"_shard", "_node"} <= hit.keys()


async def test_pages_behind_the_window_are_explained(filled: Papers) -> None:
    found = await pages(filled, 50, explain=True)

    assert all(note.startswith("hybrid; ") for _, note in found)
    hits = [hit for page, _ in found for hit in page["hits"]]
    assert len(hits) > 120
    assert all(hit["_explanation"]["value"] == hit["_score"] for hit in hits)
    assert all(hit["_explanation"]["details"] for hit in hits)


async def test_an_item_of_an_msearch_is_explained_and_a_leg_alone_by_the_cluster(filled: Papers) -> None:
    body = {"query": QUERY, "_source": False, "explain": True}
    several = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson({}, body))
    semantic, note = await search(filled, "?sidecar=semantic", explain=True)
    lexical, reason = await search(filled, "?sidecar=lexical", explain=True)

    assert several.headers["X-Sidecar-Search"] == "msearch; hybrid=1"
    hits = several.json["responses"][0]["hits"]["hits"]
    assert {hit["_explanation"]["description"] for hit in hits} == {
        "arithmetic_mean, weights [0.5, 0.5] combination of:"
    }
    assert (note.partition(";")[0], reason) == ("semantic", "lexical; reason=request")
    assert semantic["hits"][0]["_explanation"]["description"] == "within top 100"
    assert lexical["hits"][0]["_explanation"]["description"] == "sum of:"
