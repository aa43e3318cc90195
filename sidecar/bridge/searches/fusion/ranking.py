"""Selects the documents that a fused search shows: the best of its ranking, one of each group.

Pure. The next document replaces one that no longer exists.
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
    """Rank every document that was found. Gives the documents with their scores, the best first.

    The documents that a wider window adds follow those of the smaller windows. So a deeper page never changes the pages
    before it, although a wider window alone would give other scores.
    """
    ranked: dict[HitKey, float] = {}
    for shards in tiers:
        for document, score in fuse(shards, fusion):
            ranked.setdefault(document, score)
    return ranked


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
