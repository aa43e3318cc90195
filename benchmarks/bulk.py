"""What writes through the bridge cost: bulks with and without vectors, their memory, and a search beside them.

    .venv/bin/python benchmarks/bulk.py [--corpus FOLDER] [--quick]

FOLDER holds `corpus.jsonl(.gz)` in BEIR's layout (SciFact, for one); without it the documents are docstrings of
installed packages. Starts a system of its own, as `sidecar up` does; measures in turns, so that a busy machine is busy
for all alike, and prints medians with their spread. `--quick` only shows that it runs: its figures mean nothing.
"""

import argparse
import asyncio
import gzip
import io
import itertools
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from bridge import plain_search
from machine import MEASURED_NODE, machine
from rich import box
from rich.console import Console
from rich.table import Table

from sidecar.cli.up import SystemAddresses, running_system
from sidecar.config import load_configuration
from sidecar.evaluation.docstrings import read_passages
from sidecar.jsontext import Json
from sidecar.model import Binding, Provenance, Role, State
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.ports import Embeddings, Lane
from sidecar.provenance import provenance_hash, source_text
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template, default_base

PARTS = Path(__file__).with_name("bulk_parts.py")
LARGE_DOCUMENT_BYTES = 20_000
LARGE_AT_ONCE = 4
CLIENTS_BESIDE = 2
BULK_BESIDE = 100
HEADERS = {"Content-Type": "application/x-ndjson"}


@dataclass(frozen=True)
class Sizes:
    rounds: int
    bulk: int  # documents
    large_bulks: int
    large_bytes: int
    searches: int


FULL = Sizes(rounds=5, bulk=200, large_bulks=10, large_bytes=100_000_000, searches=300)
QUICK = Sizes(rounds=2, bulk=20, large_bulks=4, large_bytes=4_000_000, searches=20)


@dataclass
class Rates:
    """Documents a second of each kind, one value for each round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, documents: int, seconds: float) -> None:
        self.values.setdefault(name, []).append(documents / seconds)

    def ratios(self, name: str, base: str) -> list[float]:
        return [value / other for value, other in zip(self.values[name], self.values[base], strict=True)]

    def against_the_sum(self, name: str, *parts: str) -> list[float]:
        """What is reached of the rate that the parts would have one after the other."""
        others = zip(*(self.values[part] for part in parts), strict=True)
        sums = (sum(1 / value for value in rates) for rates in others)
        return [value * seconds for value, seconds in zip(self.values[name], sums, strict=True)]


def read_documents(folder: Path | None) -> list[dict[str, str]]:
    if folder is None:
        return [{"title": one.title, "abstract": f"{one.abstract} {one.content}"} for one in read_passages(5_000)]
    packed = folder / "corpus.jsonl.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / "corpus.jsonl").read_bytes()
    lines = map(json.loads, content.splitlines())
    return [{"title": line.get("title", ""), "abstract": line["text"]} for line in lines]


def never_seen(documents: Sequence[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The documents for ever, from the second time on with a number that makes their texts new."""
    for turn in itertools.count():
        for document in documents:
            yield document if turn == 0 else {**document, "title": f"{document['title']} {turn}"}


def ndjson(documents: Sequence[Mapping[str, Any]]) -> bytes:
    lines = (orjson.dumps(line) for document in documents for line in ({"index": {}}, document))
    return b"\n".join(lines) + b"\n"


def with_vectors(documents: Sequence[dict[str, str]], answer: Embeddings, binding: Binding) -> list[dict[str, Any]]:
    """The documents as the bridge would send them."""

    def ready(position: int, document: dict[str, str]) -> dict[str, Any]:
        item, vector = answer.items[position], answer.vector(position)
        assert vector is not None, item.error
        proof = provenance_hash(source_text(document, binding), binding)
        meta = Provenance(hash=proof, state=State.OK, model=answer.model, backend=answer.backend, truncated=False)
        numbers = orjson.Fragment(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY))
        return {**document, binding.field: numbers, binding.meta_field: meta.to_source()}

    return [ready(position, document) for position, document in enumerate(documents)]


async def send(session: aiohttp.ClientSession, url: str, index: str, body: bytes) -> float:
    """Seconds of one bulk, all of whose documents must be taken."""
    started = time.perf_counter()
    async with session.post(f"{url}/{index}/_bulk", data=io.BytesIO(body), headers=HEADERS) as response:
        answer = orjson.loads(await response.read())
    seconds = time.perf_counter() - started
    assert response.status == 200, answer
    assert answer["errors"] is False, next(item for item in answer["items"] if item["index"]["status"] >= 300)
    return seconds


async def measure_rates(
    session: aiohttp.ClientSession,
    where: SystemAddresses,
    embedder: EmbedderClient,
    *,
    binding: Binding,
    fresh: Iterator[dict[str, str]],
    sizes: Sizes,
) -> Rates:
    rates = Rates()
    for number in range(sizes.rounds + 1):
        found = rates if number else Rates()  # the first round warms everything up
        cold, other = (list(itertools.islice(fresh, sizes.bulk)) for _ in range(2))
        texts = [source_text(document, binding) for document in other]
        started = time.perf_counter()
        answer = await embedder.embed(texts, Role.PASSAGE, model=binding.model, lane=Lane.BULK, timeout_s=600)
        found.add("embedder alone", sizes.bulk, time.perf_counter() - started)
        ready, plain = ndjson(with_vectors(other, answer, binding)), ndjson(other)
        for name, url, index, body in (
            ("no vectors, direct", where.cluster, "plain-direct", plain),
            ("no vectors, through", where.bridge, "plain-through", plain),
            ("vectors at hand, direct", where.cluster, "bulk-direct", ready),
            ("all cached, through", where.bridge, "bulk-cached", plain),
            ("cold, through", where.bridge, "bulk-cold", ndjson(cold)),
        ):
            found.add(name, sizes.bulk, await send(session, url, index, body))
    return rates


async def measure_beside(
    session: aiohttp.ClientSession, where: SystemAddresses, fresh: Iterator[dict[str, str]], sizes: Sizes
) -> dict[str, list[float]]:
    """Seconds of hybrid searches alone, and beside clients that write all the time."""
    bodies = [plain_search(" ".join(document["abstract"].split()[:8])) for document in itertools.islice(fresh, 50)]
    alone = await searches(session, where.bridge, bodies, sizes.searches)
    writing = [asyncio.ensure_future(keep_writing(session, where.bridge, fresh)) for _ in range(CLIENTS_BESIDE)]
    try:
        beside = await searches(session, where.bridge, bodies, sizes.searches)
        assert not any(one.done() for one in writing), "a client that writes has ended"
    finally:
        for one in writing:
            one.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
    return {"alone": alone, f"beside {CLIENTS_BESIDE} clients that write bulks of {BULK_BESIDE}": beside}


async def keep_writing(session: aiohttp.ClientSession, url: str, fresh: Iterator[dict[str, str]]) -> None:
    while True:
        await send(session, url, "bulk-beside", ndjson(list(itertools.islice(fresh, BULK_BESIDE))))


async def searches(session: aiohttp.ClientSession, url: str, bodies: Sequence[Json], count: int) -> list[float]:
    seconds = []
    for number in range(count):
        started = time.perf_counter()
        async with session.post(f"{url}/bulk-cold/_search", json=bodies[number % len(bodies)]) as response:
            await response.read()
        seconds.append(time.perf_counter() - started)
        mode = response.headers.get("X-Sidecar-Search", "")
        assert mode.startswith("hybrid"), f"{mode or response.status} is not what is measured here"
    return seconds


@asynccontextmanager
async def part(*arguments: str) -> AsyncIterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A process of ours: what it said when it was ready, and (filled when the context ends) what it said at last."""
    process = await asyncio.create_subprocess_exec(sys.executable, PARTS, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    last: dict[str, Any] = {}
    try:
        yield json.loads(await process.stdout.readline()), last
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()
        last.update(json.loads(output or b"{}"))


async def measure_large(
    session: aiohttp.ClientSession, where: SystemAddresses, binding: Binding, sizes: Sizes
) -> dict[str, Any]:
    """Bulks as large as the bridge takes, some at once: the memory and the event loop of a bridge of their own."""
    line = {"title": "large", "abstract": ""}
    line["abstract"] = ("word " * LARGE_DOCUMENT_BYTES)[: LARGE_DOCUMENT_BYTES - len(ndjson([line]))]
    count = sizes.large_bytes // LARGE_DOCUMENT_BYTES
    # Texts that differ: equal ones would be embedded once.
    body = ndjson([{**line, "title": f"{number:05}"} for number in range(count)])
    turn = asyncio.Semaphore(LARGE_AT_ONCE)

    async def one(url: str) -> None:
        async with turn:
            await send(session, url, "bulk-large", body)

    async with (
        part("stub", binding.space, str(binding.dimension)) as (stub, _),
        part("bridge", where.cluster, stub["embedder"]) as (ready, last),
    ):
        started = time.perf_counter()
        await asyncio.gather(*(one(ready["bridge"]) for _ in range(sizes.large_bulks)))
        seconds = time.perf_counter() - started
    return {**ready, **last, "seconds": seconds, "megabytes": len(body) * sizes.large_bulks / 1e6}


def rates_table(rates: Rates, sizes: Sizes) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in (f"bulk of {sizes.bulk}, {sizes.rounds} rounds", "docs/s, median", "worst to best"):
        table.add_column(heading, justify="right" if table.columns else "left")
    for name, values in rates.values.items():
        table.add_row(name, f"{statistics.median(values):,.0f}", f"{min(values):,.0f} to {max(values):,.0f}")
    return table


def ratios_table(rates: Rates) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("ratio, of each round", "median", "worst to best", "target"):
        table.add_column(heading, justify="right" if table.columns else "left")
    for name, values, target in (
        ("no vectors: through ÷ direct", rates.ratios("no vectors, through", "no vectors, direct"), 0.85),
        (
            "cold: through ÷ embedder alone, then direct",
            rates.against_the_sum("cold, through", "embedder alone", "vectors at hand, direct"),
            0.9,
        ),
        ("cached: through ÷ direct", rates.ratios("all cached, through", "vectors at hand, direct"), 0.8),
    ):
        spread = f"{min(values):.2f} to {max(values):.2f}"
        table.add_row(name, f"{statistics.median(values):.2f}", spread, f"≥ {target}")
    return table


def beside_table(seconds: Mapping[str, Sequence[float]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("hybrid search", "p50", "p95", "p99", "worst"):
        table.add_column(heading, justify="right" if table.columns else "left")
    for name, values in seconds.items():
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        table.add_row(name, *(f"{value * 1_000:.0f} ms" for value in (cuts[49], cuts[94], cuts[98], max(values))))
    return table


def large_table(found: Mapping[str, Any], sizes: Sizes) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    title = f"{sizes.large_bulks} bulks of {sizes.large_bytes / 1e6:.0f} MB, {LARGE_AT_ONCE} at once"
    table.add_column(title)
    table.add_column("", justify="right")
    table.add_row("rate", f"{found['megabytes'] / found['seconds']:.1f} MB/s")
    table.add_row("resident before, at most", f"{found['resident_mb']:.0f}, {found['peak_mb']:.0f} MB")
    table.add_row("a timer of 10 ms was late by at most", f"{found['late_ms']:.0f} ms")
    table.add_row("longest callback", f"{found['callback_ms']:.0f} ms")
    table.add_row("longest callback, processor time", f"{found['callback_cpu_ms']:.0f} ms")
    table.add_row("that was", found["callback"])
    return table


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path, help="folder in BEIR's layout")
    parser.add_argument("--quick", action="store_true", help="small sizes, only to see that it runs")
    chosen = parser.parse_args()
    sizes = QUICK if chosen.quick else FULL
    fresh = never_seen(await asyncio.to_thread(read_documents, chosen.corpus))
    os.environ.setdefault("SIDECAR_LOG_LEVEL", "warning")

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    async with running_system(load_configuration(MEASURED_NODE), upstream=None, report=report) as system:
        where = system.addresses
        async with (
            OpenSearchCluster(where.cluster) as cluster,
            EmbedderClient(where.embedder) as embedder,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        ):
            version = (await embedder.models())[0].version
            template = compile_template(
                "bulk", version, default_base(), index_patterns=["bulk-*"], source=("title", "abstract")
            )
            await apply(cluster, template)
            for name in ("direct", "through"):
                await cluster.call("PUT", f"/plain-{name}", body=default_base())
            binding = template.binding.fields["embedding"]
            rates = await measure_rates(session, where, embedder, binding=binding, fresh=fresh, sizes=sizes)
            report("bulks are measured; now searches beside them")
            await cluster.call("POST", "/bulk-cold/_refresh")
            beside = await measure_beside(session, where, fresh, sizes)
            report("now large bulks")
            large = await measure_large(session, where, binding, sizes)
            info: Any = (await cluster.call("GET", "/")).body
    console = Console(width=120, highlight=False)
    console.print(machine(f"OpenSearch {info['version']['number']}"))
    console.print(rates_table(rates, sizes), ratios_table(rates), beside_table(beside), large_table(large, sizes))


if __name__ == "__main__":
    asyncio.run(main())
