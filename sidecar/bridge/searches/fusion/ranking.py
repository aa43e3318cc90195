"""Which documents a fused search shows: the ranking of its windows, one of each group, the next for one that has gone.

Pure.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from sidecar.bridge.searches.fusion.arithmetic import ShardHits, fuse
from sidecar.bridge.searches.fusion.request import HitKey
from sidecar.jsontext import Json
from sidecar.model import Fusion

Ranked: TypeAlias = Mapping[HitKey, float]


def ranking(tiers: Iterable[Sequence[ShardHits[HitKey]]], fusion: Fusion) -> dict[HitKey, float]:
    """Every document found, best first, with its score.

    A wider window adds behind what the ones before have found. So what a deeper page looks at never moves the pages
    before it, though a wider window alone would give other scores.
    """
    ranked: dict[HitKey, float] = {}
    for shards in tiers:
        for document, score in fuse(shards, fusion):
            ranked.setdefault(document, score)
    return ranked


class Candidates:
    """The documents that may still be shown, best first; of each group one."""

    def __init__(self, ranked: Ranked, groups: Mapping[HitKey, Json]) -> None:
        self._left = deque(ranked)
        self._groups = groups
        self._shown: set[Json | HitKey] = set()

    def take(self, count: int) -> list[HitKey]:
        """The next ones; the others of their groups stay, should one of them have gone."""
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
        """It is there, so no other of its group will be."""
        self._shown.add(self._groups.get(document, document))
