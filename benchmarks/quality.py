"""What each back end costs in retrieval quality: nDCG@10 against torch in float32, over the same judged queries.

    .venv/bin/python benchmarks/quality.py FOLDER [--qrels FILE ...] [--model ID] [--backend BACKEND ...]

FOLDER holds `corpus.jsonl(.gz)` and `queries.jsonl` in BEIR's layout (SciFact, for one); without `--qrels` its
`qrels.tsv` is taken. Starts one server after the other, each as a process of its own, and ranks every passage by its
exact cosine to each query; OpenSearch is not needed. Each back end is measured alone and in both mixed cases, as after
a change of the back end without a new index: passages of torch with its queries, and the reverse. The interval is that
of a paired bootstrap over the queries. On two cores torch takes some four minutes for SciFact, the others less.
"""

import argparse
import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np
from embedder import server
from ir_measures import nDCG
from machine import machine
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from sidecar.embedding.loading.cpus import available_cpus
from sidecar.evaluation.data_set import read_corpus
from sidecar.jsontext import loads
from sidecar.model import Role
from sidecar.rpc import EmbedderClient

REFERENCE = "torch"
MEASURE = nDCG @ 10
DEPTH = 10
RESAMPLES = 10_000
CONFIDENCE_PERCENT = 95
SEED = 1
EMBED_TIMEOUT_S = 3_600.0

Vectors = NDArray[np.float32]
Judgements = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Task:
    name: str
    passages: Mapping[str, str]
    queries: Mapping[str, str]  # the judged ones
    judgements: Judgements


@dataclass(frozen=True)
class Embedded:
    passages: Vectors
    queries: Vectors


@dataclass(frozen=True)
class Loss:
    """The difference to the reference, in percent of its mean; below zero: worse."""

    percent: float
    low: float
    high: float


def read_task(folder: Path, qrels: Sequence[Path]) -> Task:
    judgements: dict[str, dict[str, int]] = {}
    for file in qrels:
        for line in file.read_text("utf-8").splitlines()[1:]:
            query, passage, relevance = line.split()
            judgements.setdefault(query, {})[passage] = int(relevance)
    lines = [loads(line) for line in (folder / "queries.jsonl").read_bytes().splitlines()]
    queries = {line["_id"]: line["text"] for line in lines if line["_id"] in judgements}  # type: ignore[operator]
    packed = folder / "corpus.jsonl.gz"
    corpus = read_corpus(packed if packed.exists() else folder / "corpus.jsonl")
    passages = {one.id: f"{one.title} {one.text}".strip() for one in corpus}
    return Task(folder.resolve().name, passages, queries, {query: judgements[query] for query in queries})


async def embed(spec: str, task: Task, threads: int) -> Embedded:
    async with server(spec, threads) as process, EmbedderClient(process.ready["embedder"]) as client:
        model = process.ready["models"][0]["model"]

        async def vectors(texts: Iterable[str], role: Role) -> Vectors:
            parts = [part async for part in client.embed_many(texts, role, model=model, timeout_s=EMBED_TIMEOUT_S)]
            assert not any(item.error for part in parts for item in part.items)
            found = np.concatenate([part.matrix[[item.row for item in part.items]] for part in parts])
            lengths: Vectors = np.linalg.norm(found, axis=1, keepdims=True)
            return found / lengths  # type: ignore[return-value]

        return Embedded(
            await vectors(task.passages.values(), Role.PASSAGE), await vectors(task.queries.values(), Role.QUERY)
        )


def ndcg(passages: Vectors, queries: Vectors, task: Task) -> NDArray[np.float64]:
    """The measure of each judged query, in the order of the task."""
    ids = list(task.passages)
    best = np.argsort(-(queries @ passages.T), axis=1, kind="stable")[:, :DEPTH]
    run = {
        query: {ids[passage]: -float(rank) for rank, passage in enumerate(row)}
        for query, row in zip(task.queries, best, strict=True)
    }
    found = {one.query_id: one.value for one in ir_measures.iter_calc([MEASURE], task.judgements, run)}
    return np.array([found[query] for query in task.queries])


def loss(values: NDArray[np.float64], reference: NDArray[np.float64]) -> Loss:
    drawn = np.random.default_rng(SEED).integers(len(reference), size=(RESAMPLES, len(reference)))
    percents = 100 * (values - reference)[drawn].sum(axis=1) / reference[drawn].sum(axis=1)
    tail = (100 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(percents, [tail, 100 - tail])
    return Loss(float(100 * (values.mean() / reference.mean() - 1)), float(low), float(high))


def compare(backend: str, theirs: Embedded, reference: Embedded, task: Task, table: Table) -> None:
    base = ndcg(reference.passages, reference.queries, task)
    cosines = (theirs.passages * reference.passages).sum(axis=1)
    for passages, queries, name in (
        (theirs.passages, theirs.queries, "passages and queries"),
        (reference.passages, theirs.queries, f"queries, passages of {REFERENCE}"),
        (theirs.passages, reference.queries, f"passages, queries of {REFERENCE}"),
    ):
        values = ndcg(passages, queries, task)
        found = loss(values, base)
        table.add_row(
            f"{backend}: {name}",
            f"{values.mean():.4f}",
            f"{found.percent:+.2f} %",
            f"{found.low:+.2f} to {found.high:+.2f} %",
            f"{cosines.min():.4f}, {cosines.mean():.4f}",
        )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path, metavar="FOLDER", help="folder in BEIR's layout")
    parser.add_argument("--qrels", type=Path, action="append", metavar="FILE", help="may be given several times")
    parser.add_argument("--model", default="all-minilm-l6-v2@1", metavar="ID")
    parser.add_argument("--backend", action="append", help="may be given several times; without it all that are built")
    parser.add_argument("--threads", type=int, default=available_cpus())
    chosen = parser.parse_args()
    task = read_task(chosen.corpus, chosen.qrels or [chosen.corpus / "qrels.tsv"])
    console = Console(width=140, highlight=False)
    console.print(machine(f"{chosen.threads} threads for each"))
    reference = await embed(f"{chosen.model}/{REFERENCE}", task, chosen.threads)
    size = f"{task.name}, {len(task.passages)} passages, {len(task.queries)} queries"
    table = Table(box=box.SIMPLE_HEAD)
    interval = f"{CONFIDENCE_PERCENT} % interval"
    for heading in (size, "nDCG@10", "difference", interval, "cosine of passages: least, mean"):
        table.add_column(heading)
    table.add_row(REFERENCE, f"{ndcg(reference.passages, reference.queries, task).mean():.4f}", "", "", "")
    for backend in chosen.backend or ("openvino", "openvino-w8", "openvino-int8"):
        compare(backend, await embed(f"{chosen.model}/{backend}", task, chosen.threads), reference, task, table)
    console.print(table)


if __name__ == "__main__":
    asyncio.run(main())
