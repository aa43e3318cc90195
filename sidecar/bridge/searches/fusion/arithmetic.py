"""Fuses the scores of two legs with the arithmetic of the neural-search plugin, number by number.

Pure. It computes in float32, in the same order of operations as the plugin. So the cluster and the bridge agree which
of two near scores is greater. Normalisation looks at the hits of a sub-query on all shards together. Reciprocal ranks
look at each shard alone.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

import numpy as np
import orjson

from sidecar.bridge.searches.rewrite.pipelines import RANK_CONSTANT
from sidecar.model import Fusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]

Key = TypeVar("Key", bound=Hashable)

_FLOOR: Final = np.float32(0.001)  # instead of 0, because a found document must count more than a missing one
_ONE: Final = np.float32(1)
_LEAST_PLACES: Final = 16
_FULL: Final = 0.75


@dataclass(frozen=True, slots=True)
class ShardHits(Generic[Key]):
    """The hits of both sub-queries on one shard, each as document and score, the best first."""

    lexical: Sequence[tuple[Key, float]]
    semantic: Sequence[tuple[Key, float]]
    numbers: Mapping[Key, int]  # of the documents, in Lucene's index of the shard


def fuse(shards: Sequence[ShardHits[Key]], fusion: Fusion) -> list[tuple[Key, float]]:
    """Fuse the scores of all hits. Gives every document with its score, the best first.

    Documents with equal scores keep the order of the shards. On one shard they have that of the plugin's hash table.
    """
    documents = [document for shard in shards for document in _in_hash_order(shard)]
    row_of = {key: row for row, key in enumerate(documents)}
    weights = np.array(fusion.weights, np.float32)
    table = np.zeros((len(documents), 2), np.float32)
    for leg, hits in enumerate(_legs(shards)):
        rows = [row_of[key] for found in hits for key, _ in found]
        table[rows, leg] = _normalised(hits, fusion.technique)
    fused = (
        table.sum(axis=1, dtype=np.float32)
        if fusion.technique == "rrf"
        else _COMBINE[fusion.combination](table, weights)
    )
    order = np.argsort(-fused, kind="stable")
    return [(documents[row], score) for row, score in zip(order.tolist(), _decimals(fused[order]), strict=True)]


def normalised_legs(shards: Sequence[ShardHits[Key]], fusion: Fusion) -> tuple[dict[Key, float], dict[Key, float]]:
    """The normalised scores of the lexical leg, and those of the vector leg."""
    lexical, semantic = (_normalised_leg(hits, fusion.technique) for hits in _legs(shards))
    return lexical, semantic


def _normalised_leg(hits: Sequence[Sequence[tuple[Key, float]]], technique: str) -> dict[Key, float]:
    keys = [key for found in hits for key, _ in found]
    return dict(zip(keys, _decimals(_normalised(hits, technique)), strict=True))


def _legs(shards: Sequence[ShardHits[Key]]) -> tuple[list[Sequence[tuple[Key, float]]], ...]:
    return [hits.lexical for hits in shards], [hits.semantic for hits in shards]


def _decimals(scores: "Scores") -> list[float]:
    """The scores with the shortest decimals of a float32, as the cluster writes them."""
    decimals: list[float] = orjson.loads(orjson.dumps(scores, option=orjson.OPT_SERIALIZE_NUMPY))
    return decimals


def _in_hash_order(shard: ShardHits[Key]) -> list[Key]:
    """The documents of a shard in the order in which a `java.util.HashMap` lists their numbers.

    The plugin sorts such a list by score. The table has a power of two of places and is at most three quarters full.
    Of numbers with the same place, the one that was put in last comes first (`computeIfAbsent`).
    """
    documents = list(dict.fromkeys(key for key, _ in (*shard.lexical, *shard.semantic)))
    places = _LEAST_PLACES
    while len(documents) > places * _FULL:
        places *= 2
    numbers = shard.numbers
    documents.reverse()
    documents.sort(key=lambda key: (numbers[key] ^ numbers[key] >> 16) & (places - 1))
    return documents


def _normalised(hits: Sequence[Sequence[tuple[Key, float]]], technique: str) -> "Scores":
    """Make the scores of one sub-query's hits on all shards comparable with those of the other sub-query."""
    if technique == "rrf":
        return np.concatenate([np.zeros(0, np.float32), *(_reciprocal_ranks(len(found)) for found in hits)])
    scores = np.array([score for found in hits for _, score in found], np.float32)
    return _NORMALISE[technique](scores) if scores.size else scores


def _reciprocal_ranks(count: int) -> "Scores":
    # The plugin rounds to ten decimals and then to float32.
    ranks: Scores = np.round(1 / np.arange(RANK_CONSTANT + 1, RANK_CONSTANT + 1 + count), 10).astype(np.float32)
    return ranks


def _min_max(scores: "Scores") -> "Scores":
    low, high = scores.min(), scores.max()
    if low == high:
        return np.full_like(scores, _ONE)
    normalised = (scores - low) / (high - low)
    return np.where(normalised == 0, _FLOOR, normalised)


def _l2(scores: "Scores") -> "Scores":
    norm = np.sqrt(np.cumsum(scores * scores, dtype=np.float32)[-1])  # summed up one by one, as in Java
    return _ratio(scores, norm)


def _z_score(scores: "Scores") -> "Scores":
    wide = scores.astype(np.float64)
    mean = np.float32(wide.mean())
    deviation = np.float32(wide.std(ddof=1)) if scores.size > 1 else np.float32(0)
    normalised = _ratio(scores - mean, deviation)
    # A score that equals the mean gets the greatest raw score, as in the plugin. There it is probably not intended.
    return np.where(scores == mean, scores.max(), np.where(normalised <= 0, _FLOOR, normalised))


def _arithmetic_mean(table: "Scores", weights: "Scores") -> "Scores":
    """A missing leg counts as a zero."""
    return _ratio((table * weights).sum(axis=1, dtype=np.float32), weights.sum(dtype=np.float32))


def _geometric_mean(table: "Scores", weights: "Scores") -> "Scores":
    """A missing leg does not count."""
    found = table > 0
    logarithms = np.log(np.where(found, table, _ONE).astype(np.float64)) * weights
    summed = (logarithms[:, 0].astype(np.float32) + logarithms[:, 1]).astype(np.float32)
    weighing = _weights_of(found, weights)
    means = np.exp(_ratio(summed, weighing).astype(np.float64)).astype(np.float32)
    return np.where(weighing == 0, np.float32(0), means)


def _harmonic_mean(table: "Scores", weights: "Scores") -> "Scores":
    """A missing leg does not count."""
    found = table > 0
    harmonics: Scores = np.where(found, weights / np.where(found, table, _ONE), np.float32(0))
    summed: Scores = harmonics.sum(axis=1, dtype=np.float32)
    return _ratio(_weights_of(found, weights), summed)


def _weights_of(found: "NDArray[np.bool_]", weights: "Scores") -> "Scores":
    summed: Scores = np.where(found, weights, np.float32(0)).sum(axis=1, dtype=np.float32)
    return summed


def _ratio(above: "Scores", below: "Scores | np.float32") -> "Scores":
    """The quotient. It is 0 where the divisor is 0."""
    quotient: Scores = np.divide(above, below, out=np.zeros_like(above), where=below != 0)
    return quotient


_NORMALISE: Final[dict[str, Callable[["Scores"], "Scores"]]] = {"min_max": _min_max, "l2": _l2, "z_score": _z_score}
_COMBINE: Final[dict[str, Callable[["Scores", "Scores"], "Scores"]]] = {
    "arithmetic_mean": _arithmetic_mean,
    "geometric_mean": _geometric_mean,
    "harmonic_mean": _harmonic_mean,
}
