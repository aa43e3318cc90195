"""One evaluation of a running system: index a corpus through its bridge, search it in each mode, measure.

It is to be read from top to bottom.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

import aiohttp

from sidecar.config import ClusterSettings
from sidecar.errors import ClusterRefused, Conflict
from sidecar.evaluation.data_set import CorpusDocument, DataSet, measure, read_corpus
from sidecar.evaluation.search import search
from sidecar.jsontext import Json, dumps
from sidecar.model import ModelVersion
from sidecar.opensearch.client import connect
from sidecar.ports import Cluster
from sidecar.templates.apply import apply, delete
from sidecar.templates.compiler import CompiledTemplate, compile_template

EvaluationProgress: TypeAlias = Callable[[str, int, int], None]  # step, how many more are done, of how many

MODES: Final = ("lexical", "semantic", "hybrid")

_FIELDS: Final = ("title", "abstract")
_DEPTH: Final = 100  # hits per query, since recall is measured at 100
_BULK_DOCUMENTS: Final = 100
_TIMEOUT_S: Final = 300.0
_BASE: Final[Json] = {
    "settings": {"number_of_shards": 1},  # with several, each shard has its own term statistics
    "mappings": {"properties": {field: {"type": "text", "analyzer": "english"} for field in _FIELDS}},
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The measures of each mode, and the data that they were taken on."""

    data_set: str
    documents: int
    queries: int
    model: str
    modes: Mapping[str, Mapping[str, float]]  # mode -> measure -> mean over the queries


@dataclass(frozen=True, slots=True)
class EvaluatedSystem:
    """The system that is evaluated: the URL of its bridge, and how its cluster is reached."""

    bridge: str
    cluster: ClusterSettings


async def evaluate(
    data_set: DataSet, version: ModelVersion, system: EvaluatedSystem, progress: EvaluationProgress
) -> Evaluation:
    """Evaluate a system, in an index of its own that is deleted at the end.

    Raises Conflict if a document gets no vector or a search is answered in another mode, and ClusterRefused,
    ClusterUnreachable, ConfigurationError.
    """
    index = f"eval-{uuid.uuid4().hex[:12]}"
    compiled = compile_template(index, version, _BASE, index_patterns=[index], source=_FIELDS)
    async with (
        connect(system.cluster, timeout_s=_TIMEOUT_S) as cluster,
        connect(system.cluster, system.bridge, timeout_s=_TIMEOUT_S) as bridge,
        _applied(cluster, compiled, index),
    ):
        documents = await _index(bridge, data_set, index, progress)
        await _check_vectors(cluster, index, documents)
        rankings = await _search(data_set, system, index, progress)
    modes = {mode: measure(data_set.judgements, found) for mode, found in rankings.items()}
    return Evaluation(data_set.name, documents, len(data_set.queries), version.id, modes)


@asynccontextmanager
async def _applied(cluster: Cluster, compiled: CompiledTemplate, index: str) -> AsyncIterator[None]:
    await apply(cluster, compiled)
    try:
        yield
    finally:
        await cluster.call("DELETE", f"/{index}", params={"ignore_unavailable": "true"})
        await delete(cluster, compiled.names.template)


async def _index(bridge: Cluster, data_set: DataSet, index: str, progress: EvaluationProgress) -> int:
    """Index the corpus. The answer is the number of its documents."""
    total = sum(1 for _ in read_corpus(data_set.corpus))
    step = "index through the bridge"
    progress(step, 0, total)
    documents = read_corpus(data_set.corpus)
    while chunk := list(islice(documents, _BULK_DOCUMENTS)):
        body = b"".join(map(_lines, chunk))
        reply = (await bridge.call("POST", f"/{index}/_bulk", body=body)).require("_bulk")
        if reply["errors"]:
            refused = next(item["index"] for item in reply["items"] if "error" in item["index"])
            raise ClusterRefused(f"_bulk of document [{refused['_id']}]", refused["status"], str(refused["error"]))
        progress(step, len(chunk), total)
    (await bridge.call("POST", f"/{index}/_refresh")).require("_refresh")
    return total


def _lines(document: CorpusDocument) -> bytes:
    action: Json = {"index": {"_id": document.id}}
    return dumps(action) + b"\n" + dumps({"title": document.title, "abstract": document.text}) + b"\n"


async def _check_vectors(cluster: Cluster, index: str, documents: int) -> None:
    query: Json = {"query": {"exists": {"field": "embedding"}}}
    embedded = (await cluster.call("POST", f"/{index}/_count", body=query)).require("_count")["count"]
    if embedded != documents:
        raise Conflict(f"only {embedded} of {documents} documents have a vector: nothing is measured on half an index")


async def _search(
    data_set: DataSet, system: EvaluatedSystem, index: str, progress: EvaluationProgress
) -> dict[str, dict[str, list[str]]]:
    """By mode and query, the ids of the hits, best first."""
    rankings: dict[str, dict[str, list[str]]] = {}
    async with _session(system.cluster) as session:
        for mode in MODES:
            rankings[mode] = {}
            progress(f"search, {mode}", 0, len(data_set.queries))
            for query, text in data_set.queries.items():
                rankings[mode][query] = await _ranking(session, system.bridge, index, text, mode)
                progress(f"search, {mode}", 1, len(data_set.queries))
    return rankings


def _session(access: ClusterSettings) -> aiohttp.ClientSession:
    password = access.password.get_secret_value()
    auth = aiohttp.BasicAuth(access.user, password) if access.user else None
    return aiohttp.ClientSession(auth=auth, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))


async def _ranking(session: aiohttp.ClientSession, bridge: str, index: str, text: str, mode: str) -> list[str]:
    body: Json = {"query": {"multi_match": {"query": text, "fields": list(_FIELDS)}}, "size": _DEPTH, "_source": False}
    found = await search(session, bridge, index, body, mode=mode)
    if found.mode != mode:  # the bridge may have fallen back to a lexical search
        why = f" ({found.reason})" if found.reason else ""
        if found.reason == "embedder_deadline":
            why += ", since its vector took longer than the bridge's setting bridge.search_embed_timeout_s"
        raise Conflict(f"a search in mode [{mode}] was answered as [{found.mode}]{why}: it cannot be measured")
    return [hit["_id"] for hit in found.hits]
