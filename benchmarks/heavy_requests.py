"""What heavy requests of one client do to everybody else: plain reads beside them, and the bridge's memory.

    .venv/bin/python benchmarks/heavy_requests.py [--quick] [--only NAME]

Starts a node of its own, as `sidecar up` does, and for each kind of request a bridge of its own with a stub of the
embedding server. `--quick` only shows that it runs: its figures mean nothing.
"""

import argparse
import asyncio
import gzip
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson
from bulk import part
from machine import MEASURED_NODE, machine
from rich import box
from rich.console import Console
from rich.table import Table

from sidecar.cli.up import SystemAddresses, running_system
from sidecar.config import load_configuration
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template, default_base

INDEX: Final = "heavy-1"
READ_EVERY_S: Final = 0.01
JSON: Final = {"Content-Type": "application/json"}
NDJSON: Final = {"Content-Type": "application/x-ndjson"}
MATCH: Final = {"match": {"title": "cats"}}


@dataclass(frozen=True)
class Heavy:
    """A heavy request, and how many clients send it all the time."""

    path: str
    body: bytes
    clients: int = 2
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


@dataclass
class Reads:
    """Plain reads, one after the other."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def __str__(self) -> str:
        cuts = statistics.quantiles(self.seconds, n=100, method="inclusive")
        return f"{cuts[49] * 1_000:.0f}, {cuts[98] * 1_000:.0f} ms, {self.failed} of {len(self.seconds)}"


@dataclass
class Seen:
    """What the clients have seen."""

    through: "Reads"
    direct: "Reads"
    heavy: dict[int, int] = field(default_factory=dict)  # answers by status


def search(query: object, **more: object) -> bytes:
    return orjson.dumps({"query": query, **more})


def filtered(*clauses: object, **more: object) -> bytes:
    return search({"bool": {"must": [MATCH], "filter": list(clauses)}}, **more)


def lines(count: int, *pair: object) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for _ in range(count) for line in pair)


def packed(body: bytes) -> bytes:
    return gzip.compress(body, 1)


def excluding(ids: list[str]) -> dict[str, object]:
    return {"bool": {"must_not": {"terms": {"title": ids}}}}


def heavy_requests() -> dict[str, Callable[[], Heavy]]:
    """By name. A body is made only when it is sent."""
    at = f"/{INDEX}/_search"
    unpacked = {**JSON, "Content-Encoding": "gzip"}
    return {
        "nothing": lambda: Heavy("/", b"", 0),
        "multi_match of 100,000 patterns, 965 KB": lambda: Heavy(
            at, search({"multi_match": {"query": "cats", "fields": [f"f{n}*" for n in range(100_000)]}})
        ),
        "_msearch of 20,000 searches, 760 KB": lambda: Heavy(
            f"/{INDEX}/_msearch", lines(20_000, {}, {"query": MATCH, "size": 0}), 2, NDJSON
        ),
        "_msearch of 1,000 searches": lambda: Heavy(
            f"/{INDEX}/_msearch", lines(1_000, {}, {"query": MATCH, "size": 1}), 2, NDJSON
        ),
        "four gzipped searches of 21 MB": lambda: Heavy(
            at, packed(filtered(excluding([f"an id {n:07}" for n in range(1_300_000)]))), 4, unpacked
        ),
        "1,000,000 ids": lambda: Heavy(at, filtered(excluding([f"id{n}" for n in range(1_000_000)]))),
        "60,000 ids, planned": lambda: Heavy(at, filtered(excluding([f"id{n}" for n in range(60_000)]))),
        "query_string of 100,000 fields": lambda: Heavy(
            at, search({"query_string": {"query": " ".join(f"f{n}:a" for n in range(100_000))}})
        ),
        "190 levels of bool around 40,000 ids": lambda: Heavy(at, nested(190, [f"id{n}" for n in range(40_000)])),
        "10,000 neural clauses": lambda: Heavy(
            at, search({"bool": {"should": [{"neural": {"embedding": {"query_text": f"{n}"}}} for n in range(10_000)]}})
        ),
        "5,000 aggregations": lambda: Heavy(
            at, filtered(size=0, aggs={f"a{n}": {"value_count": {"field": "year"}} for n in range(5_000)})
        ),
        "pages of 50 documents of 100 KB, fused here": lambda: Heavy(at, filtered(size=50, track_total_hits=True)),
        "a document of 100 MB": lambda: Heavy(
            f"/{INDEX}/_doc/large", orjson.dumps({"title": "cats", "more": ["x" * 100] * 970_000}), 1
        ),
        "documents of 7 MB, dense": lambda: Heavy(
            f"/{INDEX}/_doc/dense", orjson.dumps({"title": "cats", "more": [{"n": n} for n in range(450_000)]})
        ),
        "_mget of 100,000 ids": lambda: Heavy(
            f"/{INDEX}/_mget", orjson.dumps({"ids": [f"{n}" for n in range(100_000)]})
        ),
        "gzip bombs": lambda: Heavy(at, packed(b" " * 99_000_000), 4, unpacked),
    }


def nested(levels: int, ids: list[str]) -> bytes:
    inner: object = excluding(ids)
    for _ in range(levels // 2 - 4):
        inner = {"bool": {"must": inner}}
    return search({"bool": {"must": [MATCH, inner]}})


async def reading(session: aiohttp.ClientSession, url: str, reads: Reads) -> None:
    while True:
        started = time.perf_counter()
        try:
            async with session.get(f"{url}/{INDEX}/_doc/1") as response:
                await response.read()
            reads.failed += response.status != 200
        except aiohttp.ClientError:
            reads.failed += 1
        reads.seconds.append(time.perf_counter() - started)
        await asyncio.sleep(READ_EVERY_S)


async def sending(session: aiohttp.ClientSession, url: str, heavy: Heavy, seen: Seen, until_s: float) -> None:
    while time.perf_counter() < until_s:
        async with session.post(url + heavy.path, data=heavy.body, headers=heavy.headers) as response:
            await response.read()
        seen.heavy[response.status] = seen.heavy.get(response.status, 0) + 1


async def measure(session: aiohttp.ClientSession, cluster: str, embedder: str, heavy: Heavy, seconds: float) -> Any:
    """Reads through a bridge and directly, in turns with clients that send a heavy request."""
    seen = Seen(Reads(), Reads())
    async with part("bridge", cluster, embedder) as (ready, last):
        url = ready["bridge"]
        async with session.post(f"{url}/{INDEX}/_search", json={"query": MATCH}) as response:
            assert response.headers["X-Sidecar-Search"].startswith("hybrid"), await response.text()
        readers = [
            asyncio.ensure_future(reading(session, url, seen.through)),
            asyncio.ensure_future(reading(session, cluster, seen.direct)),
        ]
        until_s = time.perf_counter() + seconds
        await asyncio.gather(*(sending(session, url, heavy, seen, until_s) for _ in range(heavy.clients)))
        await asyncio.sleep(max(0.0, until_s - time.perf_counter()))
        for one in readers:
            one.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    return seen, last


async def prepare(cluster: OpenSearchCluster, where: SystemAddresses) -> tuple[str, int]:
    async with EmbedderClient(where.embedder) as embedder:
        version = (await embedder.models())[0].version
    template = compile_template("heavy", version, default_base(), index_patterns=["heavy-*"], source=("title",))
    await apply(cluster, template)
    for number in range(100):
        body = {"title": f"cats {number}", "abstract": "word " * 20_000}
        reply = await cluster.call("PUT", f"/{INDEX}/_doc/{number}", body=body)
        assert reply.ok, reply.reason
    await cluster.call("POST", f"/{INDEX}/_refresh")
    binding = template.binding.fields["embedding"]
    return binding.space, binding.dimension


def row(name: str, seen: Seen, last: Mapping[str, Any]) -> tuple[str, ...]:
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(seen.heavy.items()))
    step, peak = f"{last['callback_cpu_ms']:.0f} ms", f"{last['peak_mb']:.0f} MB"
    return name, str(seen.through), str(seen.direct), step, peak, answers


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two seconds for each, only to see that it runs")
    parser.add_argument("--only", default="", help="part of the names of the requests to send")
    chosen = parser.parse_args()
    os.environ.setdefault("SIDECAR_LOG_LEVEL", "warning")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("beside", "reads: p50, p99, failed", "directly", "longest step", "resident", "heavy answers"):
        table.add_column(heading, justify="right" if table.columns else "left")
    settings = load_configuration({**MEASURED_NODE, "node.heap": "2g"})
    async with running_system(settings, upstream=None, report=lambda line: print(line, file=sys.stderr)) as system:
        where = system.addresses
        async with (
            OpenSearchCluster(where.cluster) as cluster,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        ):
            space, dimension = await prepare(cluster, where)
            async with part("stub", space, str(dimension)) as (stub, _):
                for name, heavy in heavy_requests().items():
                    if chosen.only in name:
                        seconds = 2.0 if chosen.quick else 20.0
                        seen, last = await measure(session, where.cluster, stub["embedder"], heavy(), seconds)
                        table.add_row(*row(name, seen, last))
                        print(row(name, seen, last), last["callback"], file=sys.stderr)
            info: Any = (await cluster.call("GET", "/")).body
    console = Console(width=160, highlight=False)
    console.print(machine(f"OpenSearch {info['version']['number']}"))
    console.print(table)


if __name__ == "__main__":
    asyncio.run(main())
