"""Combines the own search pipeline of a client or an index with ours, which fuses. Pure.

Ours is inline, and an inline pipeline replaces a named one. So ours must have the processors of the named one.
"""

from typing import Final

from pydantic import ValidationError

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.jsontext import Json, Object, at
from sidecar.model import Fusion

NONE: Final = "_none"
RANK_CONSTANT: Final = 60  # of reciprocal ranks: the default of the plugin

_NORMALISERS: Final = ("normalization-processor", "score-ranker-processor")
# Request processors see `hybrid` in the place of the client's query. `filter_query` would put it inside `bool`, where
# it answers sentinel documents without an error. We do not know the effect of any other processor.
_HARMLESS_REQUEST_PROCESSORS: Final = frozenset({"neural_query_enricher"})
_NOTED: Final = frozenset({"tag", "description", "ignore_failure"})  # the options that every processor has
# If the bridge fuses, the page runs through the response processors in parts, and its hits have other scores there. So
# each processor must look at one hit alone, and only at its fields. It must also fail for all hits or for none.
_PER_HIT: Final = frozenset({"rename_field", "sort", "split"})
_IDLE: Final = frozenset({"hybrid_score_explanation"})  # the bridge explains the scores itself


def default_pipeline(indices: tuple[BoundIndex, ...]) -> str | None:
    """The pipeline that the cluster applies to a search that names none. None if the indices have different ones."""
    named = {index.search_pipeline for index in indices if index.search_pipeline is not None}
    only = named.pop() if len(named) == 1 else NONE
    return None if only == NONE else only


def fusing_pipeline(fusion: Fusion, own: Object | None) -> Object | None:
    """The pipeline to send with `hybrid`: `own` with a normaliser. None if the processors of `own` do not allow that.

    It is sent inline, because that needs no cluster permission. Without a normaliser `hybrid` answers sentinel
    documents.
    """
    given = own or {}
    before = _processors(given, "request_processors")
    between = _processors(given, "phase_results_processors")
    after = _processors(given, "response_processors")
    if before is None or between is None or after is None:
        return None
    if not all(processor.keys() <= _HARMLESS_REQUEST_PROCESSORS for processor in before):
        return None
    if not has_normaliser(given):
        between = [*between, _normaliser(fusion)]
    parts = {"request_processors": before, "phase_results_processors": between, "response_processors": after}
    return {name: list(processors) for name, processors in parts.items() if processors}


def bridge_fusion(fusion: Fusion, own: Object) -> Fusion | None:
    """The bridge's fusion for a search that would run through `own`. None if the bridge cannot do the same as `own`.

    A normaliser in `own` wins over `fusion`, as in the cluster.
    """
    between = _processors(own, "phase_results_processors")
    if fusing_pipeline(fusion, own) is None or page_processors(own) is None or between is None or len(between) > 1:
        return None
    return _fusion_of(between[0]) if between else fusion


def page_processors(own: Object) -> list[Object] | None:
    """The response processors for each page of a search that the bridge fuses. None if one of them cannot run there."""
    after = _processors(own, "response_processors")
    if after is None or not all(_looks_at_one_hit(processor) for processor in after):
        return None
    return [processor for processor in after if not processor.keys() <= _IDLE]


def has_normaliser(pipeline: Object) -> bool:
    """Whether a pipeline has a normaliser of its own."""
    between = _processors(pipeline, "phase_results_processors") or []
    return any(name in processor for processor in between for name in _NORMALISERS)


def _processors(pipeline: Object, kind: str) -> list[Object] | None:
    listed: Json = pipeline.get(kind, [])
    if not isinstance(listed, list):
        return None
    found = [processor for processor in listed if isinstance(processor, dict)]
    return found if len(found) == len(listed) else None


def _looks_at_one_hit(processor: Object) -> bool:
    for name, options in processor.items():
        if name == "rename_field" and at(options, "ignore_missing") is not True:
            return False  # it depends on earlier hits whether a missing field is an error
        if name not in _PER_HIT | _IDLE or at(options, "ignore_failure") not in (None, False):
            return False
    return True


def _fusion_of(processor: Object) -> Fusion | None:
    """The fusion of a normaliser. None if the bridge's arithmetic cannot do the same."""
    (name, options), *others = processor.items() or [("", None)]
    if others or name not in _NORMALISERS or not isinstance(options, dict):
        return None
    combination = options.get("combination", {})
    if name == "score-ranker-processor":
        ranks: Json = {"technique": "rrf", "rank_constant": RANK_CONSTANT}
        is_known = options.keys() <= {"combination", *_NOTED} and combination in ({"technique": "rrf"}, ranks)
        return Fusion(technique="rrf") if is_known else None
    if not options.keys() <= {"normalization", "combination", *_NOTED}:
        return None
    return _parsed(options.get("normalization", {}), combination)


def _parsed(normalization: Json, combination: Json) -> Fusion | None:
    if not isinstance(normalization, dict) or not isinstance(combination, dict):
        return None
    parameters = combination.get("parameters", {})
    if not normalization.keys() <= {"technique"} or not combination.keys() <= {"technique", "parameters"}:
        return None
    if not isinstance(parameters, dict) or not parameters.keys() <= {"weights"}:
        return None
    said = {"technique": normalization.get("technique"), "combination": combination.get("technique"), **parameters}
    try:
        fusion = Fusion.model_validate({name: value for name, value in said.items() if value is not None})
    except ValidationError:
        return None
    return fusion if fusion.technique != "rrf" else None  # it is no normalisation, and the cluster refuses it here


def _normaliser(fusion: Fusion) -> Object:
    if fusion.technique == "rrf":
        return {"score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": RANK_CONSTANT}}}
    return {
        "normalization-processor": {
            "normalization": {"technique": fusion.technique},
            "combination": {
                "technique": fusion.combination,
                "parameters": {"weights": list(fusion.weights)},
            },
        }
    }
