"""Passes over bound indices: what is pending first, then everything."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

from cachetools import LRUCache

from sidecar.errors import SidecarError
from sidecar.jsontext import Json
from sidecar.ports import Embedder
from sidecar.repair.pages import is_pending
from sidecar.repair.patience import Patience, problem_of
from sidecar.repair.repairer import Key, Mending
from sidecar.repair.report import IndexReport, Report
from sidecar.repair.scan import EVERYTHING, Scan
from sidecar.repair.targets import Refused, Target

_MAX_REMEMBERED: Final = 100_000

T = TypeVar("T")


class Repair:
    """Mends documents, and remembers those that cannot be, so that no pass tries them for ever."""

    def __init__(self, scan: Scan, embedder: Embedder, patience: Patience) -> None:
        self._scan = scan
        self._embedder = embedder
        self._patience = patience
        self._failed: LRUCache[Key, str] = LRUCache(_MAX_REMEMBERED)

    async def mend(self, targets: Sequence[Target | Refused]) -> Report:
        """Mend what is pending, which is what searches miss; then judge every document, and mend what is wrong.

        What could not be mended in an earlier call is tried again. Raises ClusterRefused, ClusterUnreachable,
        EmbedderUnavailable, EmbedderOverloaded and DeadlineExceeded when patience ends.
        """
        self._failed.clear()
        return Report(tuple([await self._mend(target) for target in targets]))

    async def mend_pending(self, targets: Sequence[Target | Refused]) -> Report:
        """Mend what is pending, but for what is known to fail. Raises as `mend`."""
        reports = [
            await self._pass(target, is_pending(target.bound)) for target in targets if isinstance(target, Target)
        ]
        return Report(tuple(reports))

    async def _mend(self, target: Target | Refused) -> IndexReport:
        if isinstance(target, Refused):
            return IndexReport(target.index, problem=target.reason)
        try:
            await self._scan.refresh(target.index)
        except SidecarError as error:
            return IndexReport(target.index, problem=problem_of(error))
        pending = await self._pass(target, is_pending(target.bound))
        if pending.problem is not None:
            return pending
        audited = await self._pass(target, EVERYTHING, is_audit=True)
        audited.take_over(pending)
        return audited

    async def _pass(self, target: Target, query: Json, *, is_audit: bool = False) -> IndexReport:
        report = IndexReport(target.index)
        mending = Mending(self._scan, self._embedder, self._patience, target, report, self._failed)
        try:
            # The next page is read while this one is embedded and written.
            async with aclosing(self._scan.pages(target, query)) as pages, asyncio.TaskGroup() as tasks:
                following = tasks.create_task(_next(pages), name="read the next page")
                while (page := await following) is not None:
                    following = tasks.create_task(_next(pages), name="read the next page")
                    report.documents += len(page)
                    await mending.mend(page, tells_known=is_audit)
            if report.counts:  # else the next pass would find again what it has mended
                await self._scan.refresh(target.index)
        except* SidecarError as group:
            report.problem = problem_of(_first(group))
        return report


async def _next(pages: AsyncIterator[T]) -> T | None:
    return await anext(pages, None)


def _first(group: BaseExceptionGroup[SidecarError]) -> SidecarError:
    """The first error of a group, which may hold groups."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
