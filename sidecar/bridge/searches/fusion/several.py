"""Runs the searches of one `_msearch` that the bridge fuses, several at the same time."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

from sidecar.bridge.proxy.budget import BridgeOverloaded, Share
from sidecar.bridge.proxy.headers import Headers
from sidecar.bridge.proxy.upstream import AnswerTooLarge, Upstream
from sidecar.bridge.searches.fusion.request import FusedSearch, number_of
from sidecar.bridge.searches.fusion.search import FusedAnswer, fused_search, search_fused
from sidecar.bridge.searches.planner import PlannedSearch
from sidecar.bridge.searches.rewrite.plan import TextSearch
from sidecar.errors import ClusterUnreachable
from sidecar.model import Fusion

Result = TypeVar("Result")
Failure: TypeAlias = AnswerTooLarge | BridgeOverloaded | ClusterUnreachable
_FAILURES: Final = (AnswerTooLarge, BridgeOverloaded, ClusterUnreachable)

_AT_ONCE: Final = 4  # the request of each one has two searches for each shard
_LIMIT: Final = "max_concurrent_searches"


def fused_item(planned: PlannedSearch, plan: TextSearch, indices: str | None, url: Mapping[str, str]) -> FusedSearch:
    """Make the argument of `search_fused` from an item. It has the item's own indices, and the limit of the request."""
    search = fused_search(planned, plan)
    if indices is not None:  # in the header, as the client did: a cluster may forbid that
        search = replace(search, header={**search.header, "index": list(indices.split(","))})
    return replace(search, parameters={**search.parameters, _LIMIT: url[_LIMIT]}) if _LIMIT in url else search


@dataclass(frozen=True, slots=True)
class Fusing:
    """The place to send searches to, and the headers that identify the client."""

    upstream: Upstream
    path: str  # `…/_msearch`, as the client wrote it
    headers: Headers
    at_once: int
    share: Share  # of the bytes that requests in work may hold

    async def beside(
        self, searches: Mapping[int, tuple[FusedSearch, Fusion]], other: Coroutine[Any, Any, Result]
    ) -> tuple[dict[int, FusedAnswer], Result]:
        """Answer the searches, and run `other` at the same time. Gives both results. Raises as `search_fused`."""
        turn = asyncio.Semaphore(self.at_once)
        async with asyncio.TaskGroup() as group:
            rest = group.create_task(_attempted(other), name="the rest of an _msearch")
            tasks = {
                position: group.create_task(_attempted(self._fuse(*search, turn)), name="fused search")
                for position, search in searches.items()
            }
        return {position: _result(task.result()) for position, task in tasks.items()}, _result(rest.result())

    async def _fuse(self, search: FusedSearch, fusion: Fusion, turn: asyncio.Semaphore) -> FusedAnswer:
        async with turn:
            return await search_fused(self.upstream, self.path, self.headers, search, fusion, share=self.share)


def at_once(url: Mapping[str, str]) -> int:
    """The number of searches that the bridge fuses at the same time for one request."""
    return min(number_of(url.get(_LIMIT)) or _AT_ONCE, _AT_ONCE)


async def _attempted(work: Coroutine[Any, Any, Result]) -> Result | Failure:
    """The result of `work`, or its error as a value. A group of tasks would wrap the error if it were raised."""
    try:
        return await work
    except _FAILURES as error:
        return error


def _result(attempted: Result | Failure) -> Result:
    if isinstance(attempted, _FAILURES):
        raise attempted
    return attempted
