"""`sidecar eval`: retrieval quality of a running system, lexical, semantic and hybrid side by side."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.cli.searching import search
from sidecar.config import ClusterSettings
from sidecar.errors import ClusterRefused, Conflict
from sidecar.evaluation.data_set import MEASURES, CorpusDocument, DataSet, measure, open_data_set, read_corpus
from sidecar.jsontext import Json, dumps
from sidecar.model import ModelVersion
from sidecar.models.store import ModelStore
from sidecar.opensearch.client import OpenSearchCluster, connect
from sidecar.templates.apply import apply, delete
from sidecar.templates.compiler import CompiledTemplate, compile_template

MODES: Final = ("lexical", "semantic", "hybrid")

_FIELDS: Final = ("title", "abstract")
_DEPTH: Final = 100  # hits per query; what recall is measured at
_BULK_DOCUMENTS: Final = 100
_TIMEOUT_S: Final = 300.0
_BASE: Final[Json] = {
    "settings": {"number_of_shards": 1},  # with several, each shard has its own term statistics
    "mappings": {"properties": {field: {"type": "text", "analyzer": "english"} for field in _FIELDS}},
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, on what."""

    data_set: str
    documents: int
    queries: int
    model: str
    modes: Mapping[str, Mapping[str, float]]  # mode -> measure -> mean over the queries


def evaluate(
    data_set: Annotated[Path, typer.Argument(metavar="DATA_SET", help="Folder in BEIR layout.")],
    *,
    bridge: Annotated[str | None, typer.Option(metavar="URL", help="The bridge [default: at bridge.listen]")] = None,
    cluster: Annotated[str | None, setting("cluster.url", "--cluster", metavar="URL")] = None,
    model: Annotated[str, typer.Option(metavar="ID", help="Model version to bind with.")] = "all-minilm-l6-v2@1",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Measure retrieval quality of the running system on a judged data set.

    The corpus is indexed through the bridge, into an index that is deleted at the end. Each judged query is one
    multi_match over title and abstract, answered in each mode.
    """
    settings = configure(config, cluster__url=cluster).settings
    judged = open_data_set(data_set)
    measure(judged.judgements, {})  # if the extra is missing, say so now and not after the corpus is indexed
    version = ModelStore(settings.models.dir).find(model).version
    subject = _Subject(f"eval-{uuid.uuid4().hex[:12]}", bridge or f"http://{settings.bridge.listen}", settings.cluster)
    found = asyncio.run(_evaluate(judged, version, subject))
    if as_json:
        typer.echo(dumps(asdict(found)))
    else:
        about = f"{found.data_set}: {found.documents:,} documents, {found.queries:,} queries, {found.model}"
        Console(highlight=False).print(about, _table(found), sep="\n")


@dataclass(frozen=True, slots=True)
class _Subject:
    """The system that is measured, and the index that holds the corpus there."""

    index: str
    bridge: str
    access: ClusterSettings

    def connect(self, url: str) -> OpenSearchCluster:
        return connect(self.access, url, timeout_s=_TIMEOUT_S)

    def authentication(self) -> aiohttp.BasicAuth | None:
        password = self.access.password.get_secret_value()
        return aiohttp.BasicAuth(self.access.user, password) if self.access.user else None


async def _evaluate(data_set: DataSet, version: ModelVersion, subject: _Subject) -> Evaluation:
    compiled = compile_template(subject.index, version, _BASE, index_patterns=[subject.index], source=_FIELDS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with subject.connect(subject.access.url) as cluster, subject.connect(subject.bridge) as bridge:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            async with _applied(cluster, compiled, subject.index):
                documents = await _index(bridge, data_set, subject.index, progress)
                await _check_vectors(cluster, subject.index, documents)
                rankings = await _search(data_set, subject, progress)
    modes = {mode: measure(data_set.judgements, found) for mode, found in rankings.items()}
    return Evaluation(data_set.name, documents, len(data_set.queries), version.id, modes)


@asynccontextmanager
async def _applied(cluster: OpenSearchCluster, compiled: CompiledTemplate, index: str) -> AsyncIterator[None]:
    await apply(cluster, compiled)
    try:
        yield
    finally:
        await cluster.call("DELETE", f"/{index}", params={"ignore_unavailable": "true"})
        await delete(cluster, compiled.names.template)


async def _index(bridge: OpenSearchCluster, data_set: DataSet, index: str, progress: Progress) -> int:
    total = sum(1 for _ in read_corpus(data_set.corpus))
    task = progress.add_task("index through the bridge", total=total)
    documents = read_corpus(data_set.corpus)
    while chunk := list(islice(documents, _BULK_DOCUMENTS)):
        body = b"".join(map(_lines, chunk))
        reply = (await bridge.call("POST", f"/{index}/_bulk", body=body)).require("_bulk")
        if reply["errors"]:
            refused = next(item["index"] for item in reply["items"] if "error" in item["index"])
            raise ClusterRefused(f"_bulk of document [{refused['_id']}]", refused["status"], str(refused["error"]))
        progress.advance(task, len(chunk))
    (await bridge.call("POST", f"/{index}/_refresh")).require("_refresh")
    return total


def _lines(document: CorpusDocument) -> bytes:
    action: Json = {"index": {"_id": document.id}}
    return dumps(action) + b"\n" + dumps({"title": document.title, "abstract": document.text}) + b"\n"


async def _check_vectors(cluster: OpenSearchCluster, index: str, documents: int) -> None:
    query: Json = {"query": {"term": {"embedding_meta.state": "ok"}}}
    embedded = (await cluster.call("POST", f"/{index}/_count", body=query)).require("_count")["count"]
    if embedded != documents:
        raise Conflict(f"only {embedded} of {documents} documents have a vector: nothing is measured on half an index")


async def _search(data_set: DataSet, subject: _Subject, progress: Progress) -> dict[str, dict[str, list[str]]]:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    rankings: dict[str, dict[str, list[str]]] = {}
    async with aiohttp.ClientSession(auth=subject.authentication(), timeout=timeout) as session:
        for mode in MODES:
            task = progress.add_task(f"search, {mode}", total=len(data_set.queries))
            rankings[mode] = {}
            for query, text in data_set.queries.items():
                rankings[mode][query] = await _ranking(session, subject, text, mode)
                progress.advance(task)
    return rankings


async def _ranking(session: aiohttp.ClientSession, subject: _Subject, text: str, mode: str) -> list[str]:
    body: Json = {"query": {"multi_match": {"query": text, "fields": list(_FIELDS)}}, "size": _DEPTH, "_source": False}
    answered = await search(session, subject.bridge, subject.index, body, mode=mode)
    if answered.mode != mode:  # where the bridge must, it falls back to a lexical search
        why = f" ({answered.reason})" if answered.reason else ""
        if answered.reason == "embedder_deadline":
            why += ", since its vector took longer than the bridge's setting bridge.search_embed_timeout_s"
        raise Conflict(f"a search in mode [{mode}] was answered as [{answered.mode}]{why}: it cannot be measured")
    return [hit["_id"] for hit in answered.hits]


def _table(found: Evaluation) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("mode")
    for name in MEASURES:
        table.add_column(_HEADINGS.get(name, name), justify="right")
    for mode, measures in found.modes.items():
        table.add_row(mode, *(f"{measures[name]:.3f}" for name in MEASURES))
    return table


_HEADINGS: Final[Mapping[str, str]] = {"R@100": "recall@100", "RR@10": "MRR@10", "AP@100": "MAP@100"}
