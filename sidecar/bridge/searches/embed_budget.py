"""How long a search waits for its vectors. Without a setting, as long as the speed of its model asks for.

A server measures its models at its self-test, on its own machine. A fixed time would suit one back end only: what is
ample for a quantised model on a large machine turns most searches lexical where torch computes on a small one.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from cachetools import TTLCache

from sidecar.errors import SidecarError
from sidecar.ports import Embedder

_LEAST_S: Final = 0.2
_MOST_S: Final = 10.0
_FULL_TEXTS: Final = 10  # computed one after the other: a batch that has begun, and the queue before this search
_REMEMBER_S: Final = 60.0  # a server may come back with another back end


def default_budget_s(full_text_s: float) -> float:
    """The budget for a model that computes one text of full length in this time. 0: it is not known. In seconds."""
    return min(max(_LEAST_S, _FULL_TEXTS * full_text_s), _MOST_S)


class EmbedBudget:
    """The embedding budgets of searches. `set_s` is the setting."""

    def __init__(self, embedder: Embedder, set_s: float | None) -> None:
        self._embedder = embedder
        self._set_s = set_s
        self._speeds: TTLCache[str, dict[str, float]] = TTLCache(1, _REMEMBER_S)  # of all models, by their id

    async def seconds(self, models: Iterable[str]) -> float:
        """The budget of one search with texts for these models. Asks the server at most once a minute."""
        if self._set_s is not None:
            return self._set_s
        if (speeds := self._speeds.get("")) is None:
            try:
                async with asyncio.timeout(_LEAST_S):
                    served = await self._embedder.models()
            except (SidecarError, TimeoutError):
                return _LEAST_S
            speeds = self._speeds[""] = {one.version.id: one.full_text_s for one in served}
        return default_budget_s(max((speeds.get(model, 0.0) for model in models), default=0.0))
