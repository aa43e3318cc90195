"""A client's or an index's own search pipeline, put together with the one that fuses. Pure.

An inline pipeline replaces a named one, so what the named one does must be in ours.
"""

from typing import Final

from sidecar.bridge.searches.reasons import Object
from sidecar.bridge.targets import BoundIndex
from sidecar.jsontext import Json
from sidecar.model import Fusion

NONE: Final = "_none"
RANK_CONSTANT: Final = 60  # of reciprocal ranks; the plugin's default

_NORMALISERS: Final = ("normalization-processor", "score-ranker-processor")
# Request processors see `hybrid` in the place of the client's query. `filter_query` would put it inside `bool`, where
# it answers sentinel documents without an error; of one that we do not know we cannot say what it does.
_HARMLESS_REQUEST_PROCESSORS: Final = frozenset({"neural_query_enricher"})


def default_pipeline(indices: tuple[BoundIndex, ...]) -> str | None:
    """The pipeline that the cluster applies to a search that names none: of several different ones, none."""
    named = {index.search_pipeline for index in indices if index.search_pipeline is not None}
    only = named.pop() if len(named) == 1 else NONE
    return None if only == NONE else only


def fusing_pipeline(fusion: Fusion, own: Object | None) -> Object | None:
    """The pipeline to send inline with `hybrid`: `own` with a normaliser; None if its processors do not allow that.

    Inline, so that no cluster permission is needed. Without a normaliser `hybrid` answers sentinel documents.
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


def has_normaliser(pipeline: Object) -> bool:
    """Whether a pipeline makes one score of several by itself."""
    between = _processors(pipeline, "phase_results_processors") or []
    return any(name in processor for processor in between for name in _NORMALISERS)


def _processors(pipeline: Object, kind: str) -> list[Object] | None:
    listed: Json = pipeline.get(kind, [])
    if not isinstance(listed, list):
        return None
    found = [processor for processor in listed if isinstance(processor, dict)]
    return found if len(found) == len(listed) else None


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
