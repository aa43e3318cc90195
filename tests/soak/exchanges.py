"""Requests of the fuzzer: each goes to a bound index through a bridge, and to an unbound one directly."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from sidecar.model import Binding
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template
from tests.soak import sent_reads, sent_writes
from tests.soak.differences import CLOSED, Compared, Seen, comparable, differences, outcomes
from tests.soak.process import Process, bridge_process
from tests.soak.sent import MAPPING, Sent
from tests.support.between import broken_promises
from tests.support.embedders import HashEmbedder
from tests.support.http import Http, http, ndjson
from tests.support.waiting import PATIENCE_S

MINILM: Final = shipped_versions()["all-minilm-l6-v2@1"]
_BATCH: Final = 250  # runs whose documents are stored at once
_SOURCES: Final = ("title", "abstract")


@dataclass(frozen=True, slots=True)
class Side:
    """Two indices, one for reads and one for writes, and the server by which they are reached."""

    server: Http
    direct: Http
    name: str

    def index(self, kind: str) -> str:
        return f"{self.name}-{kind}"

    async def make(self) -> None:
        for kind in ("reads", "writes"):
            body = {"mappings": MAPPING, "settings": {"number_of_shards": 1, "number_of_replicas": 0}}
            assert (await self.direct("PUT", f"/{self.index(kind)}", body)).status == 200
        await self._write("reads", sent_reads.DOCUMENTS, "?refresh=true")

    async def store(self, runs: Iterable[int]) -> None:
        """Store what requests of these runs meet."""
        await self._write(
            "writes", {_named(name, run): one for run in runs for name, one in sent_writes.STORED.items()}
        )

    async def ask(self, sent: Sent, kind: str, run: int) -> Seen:
        """The answer to a request, or that the server hung up. Fails if there is neither."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                answer = await self.server.request(*sent.about(self.index(kind), run))
            except aiohttp.ServerDisconnectedError:
                return CLOSED
        return comparable(answer, self.index(kind))

    async def write(self, sent: Sent, run: int) -> Seen:
        """The same, and the documents afterwards: those of the run, and those that got an id from the cluster."""
        seen = await self.ask(sent, "writes", run)
        given = [one.id for one in outcomes(seen) if one.is_named_by_the_cluster and one.result == "created"]
        ids = [*(_named(name, run) for name in sent_writes.IDS), *given]
        found = await self.direct("POST", f"/{self.index('writes')}/_mget?_source_includes=*", {"ids": ids})
        return replace(seen, stored=[one.get("_source") for one in found.json["docs"]])

    async def count(self) -> int:
        """How many documents the index of writes holds."""
        assert (await self.direct("POST", f"/{self.index('writes')}/_refresh")).status == 200
        return (await self.direct("GET", f"/{self.index('writes')}/_count")).json["count"]

    async def _write(self, kind: str, documents: dict[str, Any], query: str = "") -> None:
        lines = ndjson(*(line for name, one in documents.items() for line in ({"index": {"_id": name}}, one)))
        answer = await self.server("POST", f"/{self.index(kind)}/_bulk{query}", lines)
        assert (answer.status, answer.json["errors"]) == (200, False)


def _named(name: str, run: int) -> str:
    return name.replace("RUNRUN", f"{run:06d}")


@dataclass(slots=True)
class Fuzzed:
    """Both sides. Their names are as long, because errors name columns."""

    bound: Side
    plain: Side
    process: Process
    binding: Binding
    runs: int = 0
    more: int = 0  # documents on the bound side, by differences that are meant
    statuses: Counter[int] = field(default_factory=Counter)

    async def write(self, sent: Sent) -> None:
        """A write: the answers say the same, and both indices hold the same but for our fields."""
        if self.runs % _BATCH == 0:
            for side in (self.bound, self.plain):
                await side.store(range(self.runs, self.runs + _BATCH))
        run, self.runs = self.runs, self.runs + 1
        through, direct = await asyncio.gather(self.bound.write(sent, run), self.plain.write(sent, run))
        documents = {f"{n}": one for n, one in enumerate(through.stored) if one is not None}
        broken = broken_promises(documents, self.binding, HashEmbedder(MINILM))
        assert broken == [], f"{sent}: stored are {documents}, of which {broken} have neither their vector nor the mark"
        for one in documents.values():
            for name in (self.binding.field, self.binding.meta_field):
                one.pop(name, None)
        self.more += len(documents) - sum(one is not None for one in direct.stored)
        compared = Compared(sent, through, direct)
        self.check(compared, differences(compared))
        self.statuses[direct.status] += 1

    async def read(self, sent: Sent) -> None:
        """A read: the answers say the same. A search by meaning finds nothing beyond its filters."""
        through, direct = await asyncio.gather(self.bound.ask(sent, "reads", 0), self.plain.ask(sent, "reads", 0))
        compared = Compared(sent, through, direct)
        self.check(compared, differences(compared))
        if sent.allowed is not None and through.status == 200 and through.found_by not in ("", "lexical"):
            shown = {hit["_id"] for hit in through.value["hits"]["hits"]}
            assert shown <= sent.allowed, f"{sent}: found are {shown}"
        self.statuses[direct.status] += 1

    def check(self, compared: Compared, found: list[str]) -> None:
        assert found == [], f"{compared}: {found}"

    async def wrong_number(self) -> list[str]:
        """Whether a document was written that no answer tells of."""
        bound, plain = await self.bound.count(), await self.plain.count() + self.more
        return [] if bound == plain else [f"the bound side holds {bound} documents, and not {plain}"]


@asynccontextmanager
async def fuzzing(node_url: str, name: str, log: Path) -> AsyncIterator[Fuzzed]:
    """A bridge and both sides; gone when the context ends."""
    template = compile_template(name, MINILM, MAPPING, index_patterns=(f"{name}-bound-*",), source=_SOURCES)
    async with (
        OpenSearchCluster(node_url) as cluster,
        bridge_process(node_url, MINILM, log) as process,
        http(f"http://{process.address}", node_url) as (bridge, direct),
    ):
        await apply(cluster, template)
        sides = Side(bridge, direct, f"{name}-bound"), Side(direct, direct, f"{name}-plain")
        try:
            for side in sides:
                await side.make()
            yield Fuzzed(*sides, process, template.binding.fields["embedding"])
        finally:
            await direct("DELETE", f"/{name}-*,{template.names.companion}?ignore_unavailable=true")
