"""What the embedding server does with one machine, against `SentenceTransformer.encode` on the same.

    .venv/bin/python benchmarks/embedder.py [--corpus FOLDER] [--model ID/BACKEND ...] [--against KIND=URL ...]

FOLDER holds `corpus.jsonl(.gz)` and `queries.jsonl` in BEIR's layout (SciFact, for one); without it the texts are the
docstrings of installed packages. Starts one server after the other, each as a process of its own, with as many threads
as the reference; measures the two in turns, so that a busy machine is busy for both alike, and prints medians with
their spread. Some three minutes for each server on two cores. `--against` measures servers that run already, with the
same texts: `tei=URL` (text-embeddings-inference) or `openai=URL`; give them as many threads and no cache.
"""

import argparse
import asyncio
import gzip
import itertools
import json
import math
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import grpc
import numpy as np
import torch
from grpc_health.v1 import health_pb2, health_pb2_grpc
from machine import machine
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from sentence_transformers import SentenceTransformer

from sidecar.config import EmbedderSettings, load_configuration
from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding.backends import Backend, load_backend
from sidecar.embedding.batching import bulk_batch_tokens, choose_batch, padded
from sidecar.embedding.loading.cpus import available_cpus
from sidecar.embedding.loading.models import open_models
from sidecar.evaluation.docstrings import read_passages
from sidecar.models.store import ModelStore

REQUEST_TEXTS = 32
IN_FLIGHT = 4
ROUNDS = 3
ROUND_TEXTS = 384  # of each kind and round: twelve requests, so that the last ones weigh little
QUERIES = 150
REST_S = 0.03  # before each query: the threads of torch go on spinning for a while after a call
HITS = 100
LOAD_S = 12.0
QUERY_EVERY_S = 0.1  # beside a load: several people at once
DEFAULTS = EmbedderSettings()


@dataclass(frozen=True)
class Texts:
    source: str
    passages: list[str]
    queries: list[str]

    def mixed(self) -> list[str]:
        """Seven queries to three passages, shuffled with a fixed seed."""
        count = min(len(self.passages), 2 * ROUND_TEXTS * ROUNDS)
        drawn = random.Random(1)
        return [drawn.choice(self.queries if drawn.random() < 0.7 else self.passages) for _ in range(count)]


def read_beir(folder: Path) -> Texts:
    def lines(name: str) -> list[Any]:
        path = folder / name
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return [json.loads(line) for line in content.splitlines()]

    packed = (folder / "corpus.jsonl.gz").exists()
    corpus = lines("corpus.jsonl.gz" if packed else "corpus.jsonl")
    passages = [f"{document.get('title', '')} {document['text']}".strip() for document in corpus]
    return Texts(folder.name, passages, [query["text"] for query in lines("queries.jsonl")])


def read_docstrings() -> Texts:
    passages = [f"{one.title}\n{one.abstract}\n{one.content}" for one in read_passages(5_000)]
    queries = [" ".join(passage.split()[1:10]) for passage in passages]
    return Texts("docstrings", passages, queries)


@dataclass
class Process:
    ready: dict[str, Any]
    pid: int
    start_s: float

    @property
    def resident_mb(self) -> float:
        """Of the server and the process that computes; pages that they share count twice."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text().split()]
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (self.pid, *children)]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


@asynccontextmanager
async def server(model: str, threads: int) -> AsyncIterator[Process]:
    command = ["-m", "sidecar.cli.main", "embedder", "--model", model, "--threads", str(threads), "--json"]
    free = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, *free, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"the server did not start: sidecar embedder --model {model}")
        yield Process(json.loads(line), process.pid, time.perf_counter() - started)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


class Caller(Protocol):
    """A server under test."""

    async def embed(self, texts: Sequence[str], *, query: bool = False, cached: bool = False) -> None:
        """Wait for the vectors."""
        ...


class OverGrpc:
    """Ours: one channel, nothing between the benchmark and the wire."""

    def __init__(self, channel: grpc.aio.Channel, model: str) -> None:
        self._stub = embedding_pb2_grpc.EmbedderStub(channel)
        self._model = model

    async def embed(self, texts: Sequence[str], *, query: bool = False, cached: bool = False) -> None:
        request = pb.EmbedRequest(
            model=self._model,
            texts=texts,
            role=pb.ROLE_QUERY if query else pb.ROLE_PASSAGE,
            lane=pb.LANE_INTERACTIVE if query else pb.LANE_BULK,
            cache=pb.CACHE_POLICY_DEFAULT if cached else pb.CACHE_POLICY_BYPASS,
        )
        reply = await self._stub.Embed(request)
        assert {item.row for item in reply.items} == set(range(len(set(texts))))


class OverHttp:
    """Others: text-embeddings-inference's own API (`tei`), or that of OpenAI."""

    def __init__(self, session: aiohttp.ClientSession, kind: str, url: str, model: str) -> None:
        self._session = session
        self._kind = kind
        self._url = url.rstrip("/") + {"tei": "/embed", "openai": "/v1/embeddings"}[kind]
        self._model = model

    async def embed(self, texts: Sequence[str], *, query: bool = False, cached: bool = False) -> None:
        del query, cached  # they have no lanes and are not asked for a cache
        body: dict[str, Any] = {"inputs": list(texts), "truncate": True}
        if self._kind == "openai":
            body = {"input": list(texts), "model": self._model, "encoding_format": "base64"}
        async with self._session.post(self._url, json=body) as reply:
            answer = await reply.json()
            assert reply.status == 200, answer
            assert len(answer if self._kind == "tei" else answer["data"]) == len(texts)


class Bare:
    """The back end alone: no tokenising, no queue, no wire, the batches that the server would form."""

    def __init__(self, spec: str, threads: int) -> None:
        (self._opened,) = open_models([spec], ModelStore(load_configuration().settings.models.dir))
        self._backends = load_backend(
            self._opened.backend,
            self._opened.folder,
            max_tokens=self._opened.version.max_tokens,
            pad_id=self._opened.pad_id,
            threads=threads,
        )
        self._batch_tokens = DEFAULTS.max_batch_tokens

    def seconds(self, texts: Sequence[str]) -> float:
        waiting = [text.ids for text in self._opened.tokenizer.encode(texts)]
        batches = []
        while waiting:
            window = waiting[:1024]
            bucket_tokens = self._backends[0].bucket_tokens
            positions = set(choose_batch([len(ids) for ids in window], self._batch_tokens, bucket_tokens))
            batches.append([window[position] for position in positions])
            waiting = [ids for position, ids in enumerate(waiting) if position not in positions]
        left = iter(batches)
        started = time.perf_counter()
        with ThreadPoolExecutor(len(self._backends)) as streams:
            busy = list(streams.map(lambda backend: self._work(backend, left), self._backends))
        seconds = time.perf_counter() - started
        tokens = sum(padded(len(ids), self._backends[0].bucket_tokens) for batch in batches for ids in batch)
        within_s = DEFAULTS.max_bulk_batch_ms / 1e3
        self._batch_tokens = bulk_batch_tokens(tokens / sum(busy), within_s, DEFAULTS.max_batch_tokens)
        return seconds

    def query_s(self, text: str) -> float:
        (tokenized,) = self._opened.tokenizer.encode([text])
        started = time.perf_counter()
        self._backends[0].compute([tokenized.ids])
        return time.perf_counter() - started

    def _work(self, backend: Backend, left: Iterator[list[NDArray[np.int32]]]) -> float:
        started = time.perf_counter()
        for batch in left:  # a list's iterator may be shared by threads
            backend.compute(batch)
        return time.perf_counter() - started


async def saturate(caller: Caller, texts: Sequence[str]) -> None:
    """All texts, in requests of 32, as many as it takes to keep the server busy."""
    requests = iter([texts[start : start + REQUEST_TEXTS] for start in range(0, len(texts), REQUEST_TEXTS)])

    async def work() -> None:
        for some in requests:
            await caller.embed(some)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())


@dataclass
class Load:
    """Four requests of 32 passages in flight, again and again."""

    texts: Sequence[str]
    completed: list[float] = field(default_factory=list)  # when, request by request
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, caller: Caller) -> None:
        async def work(start: int) -> None:
            while not self.stopped.is_set():
                some = [self.texts[(start + n) % len(self.texts)] for n in range(REQUEST_TEXTS)]
                await caller.embed(some)
                self.completed.append(time.perf_counter())
                start += REQUEST_TEXTS * IN_FLIGHT

        async with asyncio.TaskGroup() as group:
            for number in range(IN_FLIGHT):
                group.create_task(work(number * REQUEST_TEXTS))


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await call()
    return time.perf_counter() - started


async def throughput(
    caller: Caller, texts: Sequence[str], *, bare: Bare | None, reference: Any, table: Table, name: str
) -> None:
    ours, theirs, alone = [], [], []
    await saturate(caller, texts[:ROUND_TEXTS])
    if bare:
        bare.seconds(texts[:ROUND_TEXTS])
    for number in range(ROUNDS):
        some = texts[number * ROUND_TEXTS : (number + 1) * ROUND_TEXTS]
        ours.append(len(some) / await timed(lambda some=some: saturate(caller, some)))
        theirs.append(len(some) / await timed(lambda some=some: asyncio.to_thread(encode, reference, some)))
        if bare:
            alone.append(len(some) / await asyncio.to_thread(bare.seconds, some))
    table.add_row(f"texts/s, {name}", rates(ours), f"encode: {rates(theirs)}; ratio {ratio(ours, theirs)}")
    if bare:
        table.add_row("  the back end alone", rates(alone), f"the server reaches {ratio(ours, alone)} of it")


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The median of the ratios, round by round, and how far they spread."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def encode(reference: Any, texts: Sequence[str]) -> None:
    reference.encode(list(texts), batch_size=REQUEST_TEXTS, show_progress_bar=False)


async def idle(caller: Caller, bare: Bare | None, reference: Any, queries: Sequence[str], table: Table) -> list[float]:
    seconds, alone, single = [], [], []
    for number in range(QUERIES):
        text = queries[number % len(queries)]
        await asyncio.sleep(REST_S)
        started = time.perf_counter()
        await caller.embed([text], query=True)
        seconds.append(time.perf_counter() - started)
        if bare:
            await asyncio.sleep(REST_S)
            alone.append(await asyncio.to_thread(bare.query_s, text))
        await asyncio.sleep(REST_S)
        single.append(await timed(lambda text=text: asyncio.to_thread(encode, reference, [text])))
    beside = f"encode: p50 {statistics.median(single) * 1e3:.1f} ms"
    table.add_row("one short query, idle", latencies(seconds), beside)
    if bare:
        table.add_row("  the back end alone", latencies(alone), "")
    return seconds


def empty_call(channel: grpc.aio.Channel) -> Callable[[], Awaitable[object]]:
    """A call of the same server that carries and does nothing: what gRPC itself takes."""
    health = health_pb2_grpc.HealthStub(channel)
    return lambda: health.Check(health_pb2.HealthCheckRequest())


async def empty(channel: grpc.aio.Channel, table: Table) -> None:
    """Empty calls, after as long a rest as the idle queries have."""
    call, seconds = empty_call(channel), []
    for _ in range(QUERIES):
        await asyncio.sleep(REST_S)
        seconds.append(await timed(call))
    table.add_row("an empty call, idle", latencies(seconds), "")


async def under_load(caller: Caller, texts: Texts, idle_s: Sequence[float], table: Table) -> None:
    """Load alone, then with queries, then alone again: the machine may have changed meanwhile."""
    seconds: list[float] = []

    async def query_on() -> None:
        queries = itertools.cycle(texts.queries)
        while True:
            started = time.perf_counter()
            await caller.embed([next(queries)], query=True)
            seconds.append(time.perf_counter() - started)
            await asyncio.sleep(max(QUERY_EVERY_S - seconds[-1], 0))

    alone = [await load_rate(caller, texts.passages)]
    beside = await load_rate(caller, texts.passages, query_on)
    alone.append(await load_rate(caller, texts.passages))
    share = beside / statistics.mean(alone)
    more = (p(seconds, 99) - p(idle_s, 99)) * 1e3
    table.add_row(
        f"a query every {QUERY_EVERY_S * 1e3:.0f} ms while {IN_FLIGHT} x {REQUEST_TEXTS} passages are in flight",
        latencies(seconds),
        f"p99 {more:+.0f} ms against idle; {len(seconds)} queries",
    )
    table.add_row("  the load meanwhile", f"{beside:.1f} texts/s", f"{share:.2f} of {rates(alone)} alone")


async def load_rate(
    caller: Caller, passages: Sequence[str], beside: Callable[[], Awaitable[None]] | None = None
) -> float:
    load = Load(passages)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(load.run(caller))
        await asyncio.sleep(LOAD_S / 6)  # until it is in full swing
        load.completed.clear()
        other = group.create_task(beside()) if beside else None
        await asyncio.sleep(LOAD_S)
        seen = load.completed  # between two completions: what is half done at either end does not count
        rate = REQUEST_TEXTS * (len(seen) - 1) / (seen[-1] - seen[0]) if len(seen) > 1 else math.nan
        if other:
            other.cancel()
        load.stopped.set()
        await running
    return rate


async def hits(caller: Caller, channel: grpc.aio.Channel, texts: Texts, table: Table) -> None:
    """Cached texts, beside empty calls."""
    call = empty_call(channel)
    for count in (1, 256):
        some = texts.passages[:count]
        await caller.embed(some, cached=True)
        seconds, nothing = [], []
        for _ in range(HITS):
            seconds.append(await timed(lambda some=some: caller.embed(some, cached=True)))
            nothing.append(await timed(call))
        table.add_row(f"{count} cached passage(s)", latencies(seconds), f"an empty call: {latencies(nothing)}")


def p(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def rates(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def latencies(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "none answered"
    return ", ".join(f"p{percent} {p(seconds, percent) * 1e3:.1f}" for percent in (50, 95, 99)) + " ms"


def load_reference(folder: Path, threads: int) -> Any:
    torch.set_num_threads(threads)
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def new_table(name: str, texts: Texts) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in (f"{name}, {texts.source}", "measured", "beside it"):
        table.add_column(heading)
    return table


async def measure(caller: Caller, bare: Bare | None, texts: Texts, reference: Any, table: Table) -> None:
    for name, some in (("passages", texts.passages), ("mixed lengths", texts.mixed())):
        await throughput(caller, some, bare=bare, reference=reference, table=table, name=name)
    idle_s = await idle(caller, bare, reference, texts.queries, table)
    await under_load(caller, texts, idle_s, table)


async def measure_ours(spec: str, texts: Texts, reference: Any, threads: int) -> Table:
    async with server(spec, threads) as process, grpc.aio.insecure_channel(process.ready["embedder"]) as channel:
        model = process.ready["models"][0]
        caller = OverGrpc(channel, model["model"])
        table = new_table(f"{model['model']}/{model['backend']}", texts)
        table.add_row("start to READY", f"{process.start_s:.1f} s", "")
        table.add_row("resident memory after load", f"{process.resident_mb:.0f} MB", "")
        await measure(caller, Bare(spec, threads), texts, reference, table)
        await empty(channel, table)
        await hits(caller, channel, texts, table)
        table.add_row("resident memory afterwards", f"{process.resident_mb:.0f} MB", "")
        return table


async def measure_other(other: str, model: str, texts: Texts, reference: Any) -> Table:
    kind, _, url = other.partition("=")
    async with aiohttp.ClientSession() as session:
        table = new_table(other, texts)
        await measure(OverHttp(session, kind, url, model), None, texts, reference, table)
        return table


def against(value: str) -> str:
    if not value.startswith(("tei=http", "openai=http")):
        raise argparse.ArgumentTypeError("must be tei=URL or openai=URL")
    return value


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path, help="folder in BEIR's layout")
    parser.add_argument("--model", action="append", metavar="ID/BACKEND", help="may be given several times")
    parser.add_argument("--against", action="append", default=[], type=against, metavar="KIND=URL")
    parser.add_argument("--threads", type=int, default=available_cpus())
    chosen = parser.parse_args()
    specs = chosen.model or ["all-minilm-l6-v2@1/torch"]
    texts = read_beir(chosen.corpus) if chosen.corpus else read_docstrings()
    store = ModelStore(load_configuration().settings.models.dir)
    _, folder = store.open(specs[0].partition("/")[0])
    console = Console(width=120, highlight=False)
    console.print(machine(f"{chosen.threads} threads for each"))
    reference = load_reference(folder, chosen.threads)
    for spec in specs:
        console.print(await measure_ours(spec, texts, reference, chosen.threads))
    for other in chosen.against:
        console.print(await measure_other(other, specs[0].partition("/")[0], texts, reference))


if __name__ == "__main__":
    asyncio.run(main())
