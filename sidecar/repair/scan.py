"""Reads and judges the documents of bound indices."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from sidecar.errors import ClusterRefused
from sidecar.jsontext import Json
from sidecar.model import IndexBinding
from sidecar.ports import Cluster
from sidecar.repair.documents import StoredDocument, faults
from sidecar.repair.pages import (
    FIRST_PAGE_DOCUMENTS,
    Extent,
    again_request,
    extent_request,
    next_size,
    page_request,
    read_again,
    read_extent,
    read_page,
)
from sidecar.repair.patience import Patience, problem_of
from sidecar.repair.report import IndexReport, Outcome, Report
from sidecar.repair.targets import Target, UnfitTarget, read_targets

ScanProgress: TypeAlias = Callable[[int, int], None]  # documents more to read, documents more that are done

EVERYTHING: Final[Json] = {"match_all": {}}

_WANTED: Final = "*.mappings._meta,*.mappings._source,*.mappings.properties,*.settings.index.number_of_shards,error"


class Scan:
    """Reads from the cluster, patiently."""

    def __init__(self, cluster: Cluster, patience: Patience, progress: ScanProgress) -> None:
        self._cluster = cluster
        self._patience = patience
        self._progress = progress

    async def targets(self, names: Sequence[str], *, may_be_absent: bool = False) -> tuple[Target | UnfitTarget, ...]:
        """The bound indices behind some names: of indices, aliases or data streams, or wildcards. Without names: all.

        Raises ClusterRefused, also for a name that does not exist, and ClusterUnreachable.
        """
        path = "/" + quote(",".join(names) or "_all", safe=",*")
        options = {"expand_wildcards": "open,hidden", "filter_path": _WANTED}
        if may_be_absent:
            options["ignore_unavailable"] = "true"
        return read_targets(await self.ask("GET", path, options))

    async def pages(self, target: Target, query: Json) -> AsyncGenerator[tuple[StoredDocument, ...], None]:
        """The documents that match and were there at the start, shard by shard. Raises as `ask`."""
        extents = [await self._extent(target.index, shard, query) for shard in range(target.shards)]
        self._progress(sum(extent.documents for extent in extents), 0)
        for shard, extent in enumerate(extents):
            after, size = -1, FIRST_PAGE_DOCUMENTS
            while after < extent.last_seq_no:
                request = page_request(target.bound, query, after=after, last=extent.last_seq_no, size=size)
                page = read_page(await self._search(target.index, shard, request))
                if not page:
                    break
                yield page
                self._progress(0, len(page))
                after, size = page[-1].seq_no, next_size(size, page, target.bound)

    async def again(
        self, index: str, bound: IndexBinding, documents: Sequence[StoredDocument]
    ) -> tuple[StoredDocument, ...]:
        """The documents as they are now, without those that are gone. Raises as `ask`."""
        path = f"/{quote(index, safe='')}/_mget"
        return read_again(await self.ask("POST", path, body=again_request(bound, documents)), bound)

    async def refresh(self, index: str) -> None:
        """Let searches see all writes so far. Raises as `ask`."""
        await self.ask("POST", f"/{quote(index, safe='')}/_refresh")

    async def ask(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: "Json | bytes" = None
    ) -> Any:
        """The body of the cluster's answer. Raises ClusterRefused, ClusterUnreachable."""

        async def attempt() -> Any:
            reply = await self._cluster.call(method, path, params=params, body=body)
            return reply.require(f"{method} {path}")

        return await self._patience.call("cluster", attempt)

    async def _extent(self, index: str, shard: int, query: Json) -> Extent:
        return read_extent(await self._search(index, shard, extent_request(query)))

    async def _search(self, index: str, shard: int, request: Json) -> Any:
        # The primary: a copy may lag behind, and the documents that it lacks would be passed over.
        options = {"preference": f"_shards:{shard}|_primary"}
        return await self.ask("POST", f"/{quote(index, safe='')}/_search", options, request)


async def check(scan: Scan, targets: Sequence[Target | UnfitTarget]) -> Report:
    """Judge every document and write nothing. Raises as `Scan.ask`."""
    return Report(tuple([await _check_index(scan, target) for target in targets]))


async def _check_index(scan: Scan, target: Target | UnfitTarget) -> IndexReport:
    if isinstance(target, UnfitTarget):
        return IndexReport(target.index, problem=target.reason)
    report = IndexReport(target.index)
    try:
        await scan.refresh(target.index)
        async for page in scan.pages(target, EVERYTHING):
            report.documents += len(page)
            for document in page:
                for fault in faults(document, target.bound):
                    report.add(fault, Outcome.LEFT)
    except ClusterRefused as error:
        report.problem = problem_of(error)
    return report
