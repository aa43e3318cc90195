"""Ranks the documents of a fused search, and selects those that it shows: the best ones, one of each group.

Pure. The next document replaces one that no longer exists.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from sidecar.bridge.searches.fusion.arithmetic import ShardHits, fuse
from sidecar.bridge.searches.fusion.request import HitKey
from sidecar.jsontext import Json
from sidecar.model import Fusion

Ranked: TypeAlias = Mapping[HitKey, float]

_LESS: Final = 1 - 2**-20  # less also for a client that reads scores as float32


def ranking(shards: Sequence[ShardHits[HitKey]], window: int, fusion: Fusion) -> dict[HitKey, float]:
    """Rank every document that was found. Gives the documents with their scores, the best first.

    Only the window of each leg is fused. The other neighbours follow, then the other lexical hits. So all pages of a
    query come from one ranking, which a deeper page only continues.
    """
    ranked = dict(fuse(within(shards, window), fusion))
    for leg in ([hits.semantic for hits in shards], [hits.lexical for hits in shards]):
        _append(ranked, [hit for hits in leg for hit in hits[window:] if hit[0] not in ranked])
    return ranked


def within(shards: Sequence[ShardHits[HitKey]], window: int) -> list[ShardHits[HitKey]]:
    """The hits that are fused."""
    return [replace(hits, lexical=hits.lexical[:window], semantic=hits.semantic[:window]) for hits in shards]


def _append(ranked: dict[HitKey, float], hits: list[tuple[HitKey, float]]) -> None:
    """Append the hits of one leg. Their scores are scaled down, so that each one is less than all before it.

    They stay doubles, so that two different scores never become equal. `top` does not depend on the depth either.
    """
    if not hits:
        return
    hits.sort(key=lambda hit: -hit[1])
    least, top = min(ranked.values()) * _LESS, hits[0][1]
    for document, score in hits:
        ranked[document] = least * (score / top if top > 0 else 1)


class Candidates:
    """The documents that can still be shown, the best first. One of each group is shown."""

    def __init__(self, ranked: Ranked, groups: Mapping[HitKey, Json]) -> None:
        self._left = deque(ranked)
        self._groups = groups
        self._shown: set[Json | HitKey] = set()

    def take(self, count: int) -> list[HitKey]:
        """Take the next documents. The others of their groups stay, in case that a document no longer exists."""
        taken: dict[Json | HitKey, HitKey] = {}
        passed = []
        while self._left and len(taken) < count:
            document = self._left.popleft()
            group = self._groups.get(document, document)
            if group in taken:
                passed.append(document)
            elif group not in self._shown:
                taken[group] = document
        self._left.extendleft(reversed(passed))
        return list(taken.values())

    def show(self, document: HitKey) -> None:
        """Note that a document is shown. No other one of its group will be."""
        self._shown.add(self._groups.get(document, document))
