"""Explains fused scores, in the form of the plugin's `hybrid_score_explanation`.

Pure. The cluster explains the scores of the legs, and this module what became of them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sidecar.bridge.searches.fusion.answer import Found
from sidecar.bridge.searches.fusion.arithmetic import normalised_legs
from sidecar.bridge.searches.fusion.legs import pages
from sidecar.bridge.searches.fusion.ranking import within
from sidecar.bridge.searches.fusion.request import FusedSearch, HitKey
from sidecar.bridge.searches.rewrite.pipelines import RANK_CONSTANT
from sidecar.jsontext import Json, Object, at
from sidecar.model import Fusion

_BEHIND: Final = "score of a leg behind the window, scaled down, of:"


def explanations(
    search: FusedSearch,
    found: Found,
    fusion: Fusion,
    scores: Mapping[HitKey, float],
    responses: Sequence[Object],
) -> dict[HitKey, Object]:
    """Explain the scores of a page. `responses` is the answer to `explain_request` for these documents."""
    semantic, lexical = (
        {
            (position, number): at(hit, "_explanation")
            for position, item in zip(pages(scores), responses[leg::2], strict=True)
            for hit in _hits(item)
            if isinstance(number := at(hit, "_seq_no"), int)
        }
        for leg in (0, 1)
    )
    normalised = normalised_legs(within(found.shards, search.window), fusion)
    combined, became = _descriptions(fusion)
    explained: dict[HitKey, Object] = {}
    for document, score in scores.items():
        raw = [(leg, own[document]) for leg, own in enumerate((lexical, semantic)) if document in own]
        parts: list[Json] = [
            {"value": normalised[leg].get(document, 0.0), "description": became, "details": [own]} for leg, own in raw
        ]
        is_fused = any(document in leg for leg in normalised)
        explained[document] = {
            "value": score,
            "description": combined if is_fused else _BEHIND,
            "details": parts if is_fused else [own for _, own in raw],
        }
    return explained


def _descriptions(fusion: Fusion) -> tuple[str, str]:
    """The words of the plugin for a combination and for a normalisation."""
    if fusion.technique == "rrf":
        return "rrf combination of:", f"rrf, rank_constant [{RANK_CONSTANT}] normalization of:"
    weights = ", ".join(str(float(weight)) for weight in fusion.weights)
    return f"{fusion.combination}, weights [{weights}] combination of:", f"{fusion.technique} normalization of:"


def _hits(item: Object) -> list[Json]:
    """The hits of a leg. There are none if it has failed."""
    listed = at(item, "hits", "hits")
    return listed if isinstance(listed, list) else []
