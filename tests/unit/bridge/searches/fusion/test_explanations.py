"""How a fused score is explained. The words of the plugin are compared with a real node in the tests of the cluster."""

import json
from typing import Any

import pytest

from sidecar.bridge.searches.fusion.answer import Found, read_legs
from sidecar.bridge.searches.fusion.explanations import explanations
from sidecar.bridge.searches.fusion.legs import explain_request
from sidecar.bridge.searches.fusion.request import FusedSearch, HitKey, Shard, plan_legs
from sidecar.model import Fusion
from tests.unit.bridge.searches.fusion.test_legs import FILTER, KNN, QUERY, sent


def search(*shards: Shard, window: int = 2) -> FusedSearch:
    return plan_legs({"query": QUERY, "explain": True}, KNN, window, shards or (Shard(0, "a"),), {}, token="t")


def leg(*hits: tuple[int, float]) -> dict[str, Any]:
    return {"hits": {"hits": [{"_seq_no": n, "_score": score, "sort": [score, n]} for n, score in hits]}}


def told(*numbers: int, of: str) -> dict[str, Any]:
    hits = [{"_seq_no": n, "_explanation": {"value": float(n), "description": of, "details": []}} for n in numbers]
    return {"hits": {"hits": hits}}


def found(asked: FusedSearch) -> Found:
    read = read_legs(asked, [leg((1, 0.9), (2, 0.5), (4, 0.4)), leg((1, 4.0), (3, 2.0), (2, 1.0))])
    assert isinstance(read, Found)
    return read


def test_the_documents_of_a_page_are_explained_by_both_legs_and_stay_outside_of_the_query() -> None:
    asked = search(Shard(0, "a"), Shard(0, "b"))
    items = sent(explain_request(asked, [(0, 1), (1, 7), (0, 2)]))

    assert [json.dumps(body["query"]) for _, body in items] == [json.dumps(KNN), json.dumps(QUERY)] * 2
    assert [body["post_filter"]["bool"]["filter"] for _, body in items[::2]] == [
        [{"terms": {"_seq_no": [1, 2]}}, {"term": {"_index": "a"}}],
        [{"terms": {"_seq_no": [7]}}, {"term": {"_index": "b"}}],
    ]
    assert {(body["explain"], body["size"]) for _, body in items[:2]} == {(True, 2)}
    assert KNN["knn"]["embedding"]["filter"] == FILTER


@pytest.mark.parametrize(
    ("fusion", "combined", "became"),
    [
        (Fusion(), "arithmetic_mean, weights [0.5, 0.5] combination of:", "min_max normalization of:"),
        (Fusion(technique="l2", combination="harmonic_mean", weights=(1, 0)),
         "harmonic_mean, weights [1.0, 0.0] combination of:", "l2 normalization of:"),
        (Fusion(technique="rrf"), "rrf combination of:", "rrf, rank_constant [60] normalization of:"),
    ],
)  # fmt: skip
def test_a_fused_score_comes_from_the_normalised_scores_of_the_legs(fusion: Fusion, combined: str, became: str) -> None:
    asked = search()
    scores: dict[HitKey, float] = {(0, 1): 1.0, (0, 2): 0.1}
    both: Any = explanations(asked, found(asked), fusion, scores, [told(1, 2, of="near"), told(1, 2, of="words")])

    best, second = (both[key] for key in scores)
    assert (best["value"], best["description"]) == (1.0, combined)
    assert [(part["description"], part["details"][0]["description"]) for part in best["details"]] == [
        (became, "words"),
        (became, "near"),
    ]
    assert second["details"][0]["value"] == 0.0  # its words are behind the window


def test_a_score_behind_the_window_is_only_scaled_down() -> None:
    asked = search()
    explained = explanations(asked, found(asked), Fusion(), {(0, 4): 0.01}, [told(4, of="near"), told(of="words")])

    assert explained[0, 4] == {
        "value": 0.01,
        "description": "score of a leg behind the window, scaled down, of:",
        "details": [{"value": 4.0, "description": "near", "details": []}],
    }


def test_a_document_that_is_no_longer_found_has_no_parts() -> None:
    asked = search()
    explained = explanations(asked, found(asked), Fusion(), {(0, 1): 1.0}, [{"error": {}}, told(of="words")])

    assert explained[0, 1]["details"] == []
