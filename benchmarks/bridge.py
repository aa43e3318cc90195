"""What the bridge costs: bulk and search through it against the same at the cluster, and the memory of each process.

    .venv/bin/python benchmarks/bridge.py

Starts a system of its own (as `sidecar up` does), measures in turns, so that a busy machine is busy for all alike, and
prints medians with their spread. One to two minutes on two cores.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from machine import MEASURED_NODE, machine
from rich import box
from rich.console import Console
from rich.table import Table

from sidecar.cli.up import running_system
from sidecar.config import load_configuration
from sidecar.evaluation.docstrings import Passage, read_passages
from sidecar.evaluation.search import search
from sidecar.jsontext import Json, dumps
from sidecar.model import Role
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.ports import Lane
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template, default_base

BULKS = 8  # of each kind
BULK_DOCUMENTS = 100
SEARCHES = 150  # of each kind
WARM_UP = 10
FIELDS = ["title", "abstract", "content"]
BOUND, PLAIN = "bench-bound", "bench-plain"
LEXICAL_ONLY = {"X-Sidecar-Mode": "off"}

Measured = dict[str, list[float]]
Call = Callable[[int], Awaitable[None]]


async def in_turns(calls: Mapping[str, Call], rounds: int, *, warm_up: int = 0) -> Measured:
    """Seconds of each call, by name; in each round everybody has one turn."""
    seconds: Measured = {name: [] for name in calls}
    for number in range(warm_up + rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            await call(number)
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def bulk_of(target: OpenSearchCluster, index: str, passages: Sequence[Passage]) -> Call:
    async def call(number: int) -> None:
        part = passages[number * BULK_DOCUMENTS : (number + 1) * BULK_DOCUMENTS]
        lines = [line for passage in part for line in ({"index": {"_id": passage.id}}, passage.to_source())]
        body = b"".join(dumps(line) + b"\n" for line in lines)
        reply = await target.call("POST", f"/{index}/_bulk", body=body)
        assert reply.ok, reply.reason
        assert reply.body["errors"] is False, reply.body

    return call


def search_of(
    target: OpenSearchCluster, bodies: Sequence[Json], index: str, headers: Mapping[str, str] | None = None
) -> Call:
    async def call(number: int) -> None:
        body = bodies[number % len(bodies)]
        reply = await target.call("POST", f"/{index}/_search", body=body, headers=headers)
        assert reply.ok, reply.reason

    return call


def hybrid_of(session: aiohttp.ClientSession, bridge: str, bodies: Sequence[Json]) -> Call:
    async def call(number: int) -> None:
        answered = await search(session, bridge, BOUND, bodies[number % len(bodies)])
        assert answered.mode == "hybrid", f"{answered.mode} ({answered.reason}) is not what is measured here"

    return call


def plain_search(text: str) -> Json:
    return {
        "query": {"multi_match": {"query": text, "fields": FIELDS}},
        "size": 10,
        "_source": {"excludes": ["embedding", "embedding_meta"]},
    }


def hybrid_search(text: str, vector: Sequence[float]) -> Json:
    """What the bridge makes of `plain_search`, with the vector at hand."""
    plain = plain_search(text)
    knn = {"knn": {"embedding": {"vector": vector, "k": 100}}}
    normalize = {
        "normalization": {"technique": "min_max"},
        "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}},
    }
    return {
        **plain,
        "query": {"hybrid": {"pagination_depth": 100, "queries": [plain["query"], knn]}},
        "search_pipeline": {"phase_results_processors": [{"normalization-processor": normalize}]},
    }


async def bench_bulk(cluster: OpenSearchCluster, bridge: OpenSearchCluster, passages: Sequence[Passage]) -> Measured:
    calls = {
        "direct, no vectors": bulk_of(cluster, f"{PLAIN}-direct", passages),
        "through, no vectors": bulk_of(bridge, f"{PLAIN}-through", passages),
        "through, with vectors": bulk_of(bridge, BOUND, passages),
    }
    return await in_turns(calls, BULKS, warm_up=1)


async def bench_search(
    cluster: OpenSearchCluster, bridge: OpenSearchCluster, embedder: EmbedderClient, model: str, texts: Sequence[str]
) -> Measured:
    answer = await embedder.embed(texts, Role.QUERY, model=model, lane=Lane.INTERACTIVE, timeout_s=60)
    plain = [plain_search(text) for text in texts]
    vectors = [answer.vector(position) for position in range(len(texts))]
    ready = [hybrid_search(text, vector.tolist()) for text, vector in zip(texts, vectors, strict=True)]
    async with aiohttp.ClientSession() as session:
        calls = {
            "lexical, direct": search_of(cluster, plain, BOUND),
            "lexical, through (mode off)": search_of(bridge, plain, BOUND, LEXICAL_ONLY),
            "hybrid, direct, vector at hand": search_of(cluster, ready, BOUND),
            "hybrid, through": hybrid_of(session, bridge.url, plain),
        }
        return await in_turns(calls, SEARCHES, warm_up=WARM_UP)


def memory(pid: int) -> Iterator[tuple[str, float]]:
    """Name and resident MB of each descendant of a process."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            names = {"bridge", "embedder", "org.opensearch.bootstrap.OpenSearch"} & set(words)
            pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
            if names:
                yield names.pop().rpartition(".")[2].lower(), pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            yield from memory(child)


def bulk_table(seconds: Measured) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in (f"bulk of {BULK_DOCUMENTS}, {BULKS} times", "docs/s, median", "worst to best", "of direct"):
        table.add_column(heading, justify="right" if table.columns else "left")
    rates = {name: sorted(BULK_DOCUMENTS / value for value in values) for name, values in seconds.items()}
    base = statistics.median(next(iter(rates.values())))
    for name, values in rates.items():
        median = statistics.median(values)
        table.add_row(name, f"{median:,.0f}", f"{values[0]:,.0f} to {values[-1]:,.0f}", f"{median / base:.2f}")
    return table


def search_table(seconds: Measured) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in (f"search, {SEARCHES} times", "p50", "p25 to p75", "p95", "p50 against lexical, direct"):
        table.add_column(heading, justify="right" if table.columns else "left")
    base = statistics.median(next(iter(seconds.values())))
    for name, values in seconds.items():
        cuts = statistics.quantiles(values, n=20)
        p25, p50, p75, p95 = (cuts[index] * 1_000 for index in (4, 9, 14, 18))
        table.add_row(name, f"{p50:.1f} ms", f"{p25:.1f} to {p75:.1f}", f"{p95:.1f} ms", f"{p50 / base / 1_000:.2f}")
    return table


def memory_table(processes: Sequence[tuple[str, float]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("resident memory, afterwards")
    table.add_column("MB", justify="right")
    for name, megabytes in processes:
        table.add_row(name, f"{megabytes:,.0f}")
    return table


async def main() -> None:
    passages = await asyncio.to_thread(read_passages, (BULKS + 1) * BULK_DOCUMENTS)
    texts = [" ".join(passage.abstract.split()[:8]) for passage in passages[: SEARCHES + WARM_UP]]

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    async with running_system(load_configuration(MEASURED_NODE), upstream=None, report=report) as system:
        where = system.addresses
        async with (
            OpenSearchCluster(where.cluster) as cluster,
            OpenSearchCluster(where.bridge) as bridge,
            EmbedderClient(where.embedder) as embedder,
        ):
            served = (await embedder.models())[0]
            template = compile_template(
                "bench", served.version, default_base(), index_patterns=[BOUND], source=FIELDS[:2]
            )
            await apply(cluster, template)
            for name in ("direct", "through"):
                await cluster.call("PUT", f"/{PLAIN}-{name}", body=default_base())
            bulks = await bench_bulk(cluster, bridge, passages)
            await cluster.call("POST", f"/{BOUND}/_refresh")
            searches = await bench_search(cluster, bridge, embedder, served.version.id, texts)
            info: Any = (await cluster.call("GET", "/")).body
        processes = list(memory(os.getpid()))
    console = Console(width=100, highlight=False)
    console.print(machine(f"OpenSearch {info['version']['number']}"))
    console.print(bulk_table(bulks), search_table(searches), memory_table(processes))


if __name__ == "__main__":
    asyncio.run(main())
