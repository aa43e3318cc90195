"""Passes over bound indices: over the pending documents first, then over all."""

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
from sidecar.repair.repairer import Repairer, TextKey
from sidecar.repair.report import IndexReport, Report
from sidecar.repair.scan import EVERYTHING, Scan
from sidecar.repair.targets import Target, UnfitTarget

_MAX_REMEMBERED: Final = 100_000

T = TypeVar("T")


class Passes:
    """Goes over indices, and remembers the texts that cannot be embedded, so that no pass tries them for ever."""

    def __init__(self, scan: Scan, embedder: Embedder, patience: Patience) -> None:
        self._scan = scan
        self._embedder = embedder
        self._patience = patience
        self._failed: LRUCache[TextKey, str] = LRUCache(_MAX_REMEMBERED)

    async def repair_all(self, targets: Sequence[Target | UnfitTarget]) -> Report:
        """Repair the pending documents, which searches by meaning miss. Then judge and repair every document.

        Texts that failed in an earlier call are tried again. Raises ClusterRefused, ClusterUnreachable,
        EmbedderUnavailable, EmbedderOverloaded and DeadlineExceeded when patience ends.
        """
        self._failed.clear()
        return Report(tuple([await self._repair(target) for target in targets]))

    async def repair_pending(self, targets: Sequence[Target | UnfitTarget]) -> Report:
        """Repair the pending documents, except those that are known to fail. Raises as `repair_all`."""
        reports = [
            await self._pass(target, is_pending(target.bound)) for target in targets if isinstance(target, Target)
        ]
        return Report(tuple(reports))

    async def _repair(self, target: Target | UnfitTarget) -> IndexReport:
        if isinstance(target, UnfitTarget):
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
        repairer = Repairer(self._scan, self._embedder, self._patience, target, report, self._failed)
        try:
            # The next page is read while this one is embedded and written.
            async with aclosing(self._scan.pages(target, query)) as pages, asyncio.TaskGroup() as tasks:
                following = tasks.create_task(_next(pages), name="read the next page")
                while (page := await following) is not None:
                    following = tasks.create_task(_next(pages), name="read the next page")
                    report.documents += len(page)
                    await repairer.repair(page, counts_known=is_audit)
            if report.counts:  # else the next pass would find the same faults again
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
