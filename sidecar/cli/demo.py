"""`sidecar demo`: the whole system on real text, from nothing to an answer, and how to do each step by hand."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import aiohttp
import numpy as np
import typer
from numpy.typing import NDArray
from opensearchpy import OpenSearch, OpenSearchException, helpers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sidecar.cli import demo_pages as pages
from sidecar.cli.demo_pages import Comparison, DirectCall, Hit, Places
from sidecar.cli.foreground import run_until_signal
from sidecar.cli.options import ConfigFile, configure
from sidecar.cli.steps import steps
from sidecar.cli.up import SystemAddresses, keep_parts_quiet, running_system
from sidecar.config import Configuration
from sidecar.errors import ErrorKind, SidecarError
from sidecar.evaluation.docstrings import Passage, read_passages
from sidecar.evaluation.search import FoundHits, search
from sidecar.jsontext import Json
from sidecar.model import ModelVersion, Role
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.ports import Cluster, Lane, ServedModel
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template, default_base

# In everyday words, as somebody asks who does not know the name of the thing. The plain search answers the last one as
# well, because that docstring happens to use the same words.
QUESTIONS: Final = (
    "remove repeated values from an array",
    "turn the array upside down",
    "pick the middle value of a list",
    "quickest route between two places on a map",
    "randomly switch off neurons during training",
)

_TEMPLATE: Final = "demo"
_INDEX: Final = "docstrings"
_FIELD: Final = "embedding"
_SOURCE: Final = (
    "title",
    "abstract",
)  # embedded; content is mostly longer than the model reads
_SEARCHED: Final = ("title", "abstract", "content")
_SHOWN_HITS: Final = 3
_BULK_TIMEOUT_S: Final = 120
_CALL_TIMEOUT_S: Final = 10.0
_WIDTH: Final = 100


@dataclass(eq=False)
class BulkFailed(SidecarError):
    """The client could not index through the bridge."""

    cause: str
    kind = ErrorKind.UNAVAILABLE

    def __str__(self) -> str:
        return f"indexing through the bridge failed: {self.cause}"


def demo(
    *,
    limit: Annotated[int, typer.Option(min=100, metavar="N", help="How many passages to index.")] = 3_000,
    config: ConfigFile = None,
) -> None:
    """Start everything, index docstrings through the bridge, and search them in everyday words.

    With a terminal it stays up until Ctrl-C. Without one it ends when everything is shown.
    """
    configuration = configure(config)
    keep_parts_quiet(configuration)
    run_until_signal(_demo(configuration, config, limit))


async def _demo(configuration: Configuration, config_file: Path | None, limit: int) -> None:
    out, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    out.width = min(out.width, _WIDTH) if out.is_terminal else _WIDTH
    # Reading takes seconds of one core. The starting node and the loading model leave enough of it.
    reading = asyncio.get_running_loop().run_in_executor(None, read_passages, limit)

    async with AsyncExitStack() as stack:
        with steps() as report:
            starting = running_system(configuration, upstream=None, config_file=config_file, report=report)
            system = await stack.enter_async_context(starting)
        await _show(system.addresses, await reading, out, progress)
        if sys.stdin.isatty() and sys.stdout.isatty():
            out.print("\nEverything keeps running until Ctrl-C.", style="bold")
            await system.wait()


async def _show(where: SystemAddresses, passages: Sequence[Passage], out: Console, progress: Console) -> None:
    async with (
        OpenSearchCluster(where.cluster) as cluster,
        EmbedderClient(where.embedder) as embedder,
        aiohttp.ClientSession() as session,
    ):
        served = (await embedder.models())[0]
        places = Places(
            **asdict(where),
            index=_INDEX,
            template=_TEMPLATE,
            model=served.version.id,
            source=_SOURCE,
            program=sys.argv[0],
        )
        out.print(pages.heading("Running"), pages.addresses(places))
        indexed = await _index(places, cluster, served.version, passages, progress)
        out.print(pages.heading("Indexed by a plain client, through the bridge"), indexed)
        comparisons = await _compare(session, places)
        out.print(pages.heading("The same multi_match, sent to two addresses (+ is new on the right)"))
        out.print(*(pages.rankings(comparison) for comparison in comparisons), sep="\n")
        best = [hit.name for hit in comparisons[0].bridged] or [passages[0].id]
        documents = {name: await _stored(cluster, name) for name in best}
        out.print(pages.heading(f"{best[0]}, as the cluster stores it"))
        out.print(pages.stored_document(documents[best[0]], _FIELD))
        call = await _call_directly(embedder, served, QUESTIONS[0], documents)
        out.print(pages.heading("The embedding server, asked directly over gRPC"), pages.direct_call(call))
    out.print(pages.heading("By hand"))
    for comment, command in pages.commands(places, QUESTIONS[0], _SEARCHED):
        out.print(f"# {comment}", style="dim", markup=False)
        out.print(command, soft_wrap=True, markup=False)


async def _index(
    places: Places, cluster: Cluster, version: ModelVersion, passages: Sequence[Passage], progress: Console
) -> str:
    """Apply the template and index. The answer is a sentence about the result."""
    template = compile_template(
        _TEMPLATE, version, default_base(), index_patterns=[f"{_INDEX}*"], source=_SOURCE, field=_FIELD
    )
    await apply(cluster, template)
    started = time.monotonic()
    await asyncio.to_thread(_bulk, places.bridge, passages, progress)
    took_s = time.monotonic() - started
    query: Json = {"query": {"exists": {"field": _FIELD}}}
    count = (await cluster.call("POST", f"/{_INDEX}/_count", body=query)).require("_count")["count"]
    return pages.indexed(places, len(passages), took_s, with_vector=count)


def _bulk(bridge: str, passages: Sequence[Passage], console: Console) -> None:
    """Index as any client does, which knows the URL of the bridge and nothing of vectors."""
    client = OpenSearch(bridge, timeout=_BULK_TIMEOUT_S, max_retries=0)
    columns = (TextColumn("[dim]index through the bridge"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tracked = progress.track(passages)
        actions = ({"_index": _INDEX, "_id": passage.id, **passage.to_source()} for passage in tracked)
        try:
            helpers.bulk(client, actions)
            client.indices.refresh(index=_INDEX)
        except OpenSearchException as error:
            raise BulkFailed(str(error)) from error
        finally:
            client.close()


async def _compare(session: aiohttp.ClientSession, places: Places) -> list[Comparison]:
    comparisons = []
    for question in QUESTIONS:
        body: Json = {
            "size": _SHOWN_HITS,
            "query": {"multi_match": {"query": question, "fields": list(_SEARCHED)}},
        }
        alone = await search(session, places.cluster, _INDEX, body)
        bridged = await search(session, places.bridge, _INDEX, body)
        mode = bridged.mode + (f" ({bridged.reason})" if bridged.reason else "")
        comparisons.append(Comparison(question, _shown(alone), _shown(bridged), mode))
    return comparisons


def _shown(found: FoundHits) -> list[Hit]:
    return [Hit(hit["_id"], hit["_source"]["abstract"]) for hit in found.hits]


async def _stored(cluster: Cluster, name: str) -> dict[str, Any]:
    path = f"/{_INDEX}/_doc/{quote(name, safe='')}"
    source: dict[str, Any] = (await cluster.call("GET", path)).require(f"GET {path}")["_source"]
    return source


async def _call_directly(
    embedder: EmbedderClient, served: ServedModel, text: str, documents: Mapping[str, Mapping[str, Any]]
) -> DirectCall:
    started = time.perf_counter()
    answer = await embedder.embed(
        [text], Role.QUERY, model=served.version.id, lane=Lane.INTERACTIVE, timeout_s=_CALL_TIMEOUT_S
    )
    took_ms = 1_000 * (time.perf_counter() - started)
    vector = answer.matrix[0]
    return DirectCall(
        text=text,
        model=answer.model,
        backend=answer.backend,
        tokens=answer.items[0].tokens,
        vector=vector.tolist(),
        took_ms=took_ms,
        cosines={name: _cosine(vector, source[_FIELD]) for name, source in documents.items() if _FIELD in source},
    )


def _cosine(one: NDArray[np.float32], other: Sequence[float]) -> float:
    second = np.asarray(other, dtype=np.float32)
    return float(one @ second / (np.linalg.norm(one) * np.linalg.norm(second)))
