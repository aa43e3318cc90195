"""What a hybrid search costs and finds: fused in the cluster, with the companion, and in the bridge.

    .venv/bin/python benchmarks/search.py FOLDER [--quick]

FOLDER holds judged queries in BEIR's layout (SciFact, for one). Starts a system of its own (as `sidecar up` does),
indexes the passages once for each number of shards, measures in turns, so that a busy machine is busy for all alike,
and prints medians and nDCG@10. Query vectors are at hand or cached. Some eight minutes on two cores; `--quick` takes
every tenth passage and few rounds: it shows that everything runs, not what it costs.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from bridge import in_turns
from embedder import Bare
from machine import MEASURED_NODE, machine
from rich import box
from rich.console import Console
from rich.table import Table

from sidecar.cli.up import running_system
from sidecar.config import load_configuration
from sidecar.embedding.loading.cpus import available_cpus
from sidecar.evaluation.data_set import measure, open_data_set, read_corpus
from sidecar.jsontext import Json, dumps, loads
from sidecar.model import ModelVersion, Role
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.ports import Lane
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template

SHARDS = (1, 2, 5)
WINDOW = 100
CLIENTS = 8
BULK_DOCUMENTS = 200
TEXT = {"type": "text", "analyzer": "english"}
NORMALISER = {
    "normalization-processor": {
        "normalization": {"technique": "min_max"},
        "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}},
    }
}

Call = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Queries:
    """Texts, their vectors, and the relevant passages of each."""

    texts: Mapping[str, str]
    vectors: Sequence[Sequence[float]]
    judgements: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Server:
    """The cluster or the bridge."""

    session: aiohttp.ClientSession
    url: str

    async def search(self, index: str, body: Json, *, fused: str = "") -> list[str]:
        """The ids found; `fused`: where the bridge must say that it has fused both legs."""
        headers = {"Content-Type": "application/json"}
        async with self.session.post(f"{self.url}/{index}/_search", data=dumps(body), headers=headers) as response:
            answer: Any = loads(await response.read())
            note = response.headers.get("X-Sidecar-Search", "")
        assert response.status == 200, answer
        assert note.endswith(fused), f"[{note}] is not what is measured here"
        return [hit["_id"] for hit in answer["hits"]["hits"]]


def plain(text: str) -> dict[str, Any]:
    return {"query": {"match": {"content": text}}, "size": 10}


def hybrid(text: str, vector: Sequence[float], window: int | None) -> Json:
    """The cluster's own, with the vector at hand; without a window it takes `size`."""
    queries: Json = [plain(text)["query"], {"knn": {"embedding": {"vector": list(vector), "k": WINDOW}}}]
    return {
        "query": {"hybrid": {"queries": queries, **({} if window is None else {"pagination_depth": window})}},
        "search_pipeline": {"phase_results_processors": [NORMALISER]},
        "size": 10,
        "_source": {"excludes": ["embedding", "embedding_meta"]},
    }


async def make_indices(cluster: OpenSearchCluster, bridge: OpenSearchCluster, version: ModelVersion, corpus: Path, *,
                       every: int) -> None:  # fmt: skip
    """An index for each number of shards, and clones of it that the bridge fuses, or that rank by reciprocal ranks."""
    passages = [one for position, one in enumerate(read_corpus(corpus)) if position % every == 0]
    copied = {**TEXT, "copy_to": "content"}
    for shards in SHARDS:
        base: Json = {
            "settings": {"index.number_of_shards": shards, "index.number_of_replicas": 0},
            "mappings": {"properties": {"title": copied, "abstract": copied, "content": TEXT}},
        }
        name = f"bench-{shards}"
        template = compile_template(name, version, base, index_patterns=[name], source=("title", "abstract"))
        await apply(cluster, template)
        for start in range(0, len(passages), BULK_DOCUMENTS):
            lines = [
                line
                for one in passages[start : start + BULK_DOCUMENTS]
                for line in ({"index": {"_id": one.id}}, {"title": one.title, "abstract": one.text})
            ]
            reply = await bridge.call("POST", f"/{name}/_bulk", body=b"".join(dumps(line) + b"\n" for line in lines))
            assert isinstance(reply.body, dict), reply.body
            assert reply.body["errors"] is False, reply.body
        await call(cluster, "POST", f"/{name}/_forcemerge?max_num_segments=1")
        await call(cluster, "POST", f"/{name}/_refresh")
        await clone(cluster, bridge, name, f"{name}-bridge", {"where": "bridge"})
        await clone(cluster, bridge, name, f"{name}-rrf", {"fusion": {"technique": "rrf"}})


async def clone(
    cluster: OpenSearchCluster, bridge: OpenSearchCluster, name: str, copy: str, search: Mapping[str, Json]
) -> None:
    """The same segments under another name, searched in another way."""
    await call(cluster, "PUT", f"/{name}/_settings", {"index.blocks.write": True})
    await call(cluster, "PUT", f"/{name}/_clone/{copy}", {"settings": {"index.number_of_replicas": 0}})
    await call(cluster, "GET", f"/_cluster/health/{copy}?wait_for_status=green")
    meta = (await call(cluster, "GET", f"/{copy}/_mapping"))[copy]["mappings"]["_meta"]
    meta["sidecar"]["search"] |= search
    await call(cluster, "PUT", f"/{copy}/_settings", {"index.blocks.write": False})
    await call(bridge, "PUT", f"/{copy}/_mapping", {"_meta": meta})


async def call(server: OpenSearchCluster, method: str, path: str, body: Json = None) -> Any:
    reply = await server.call(method, path, body=body)
    assert reply.ok, reply.reason
    return reply.body


def ways(cluster: Server, bridge: Server, queries: Queries, shards: int) -> dict[str, Call]:
    texts, name = list(queries.texts.values()), f"bench-{shards}"

    def direct(window: int | None) -> Call:
        bodies = [hybrid(text, vector, window) for text, vector in zip(texts, queries.vectors, strict=True)]

        async def search(number: int) -> None:
            await cluster.search(name, bodies[number % len(bodies)])

        return search

    def through(index: str, fused: str) -> Call:
        async def search(number: int) -> None:
            await bridge.search(index, plain(texts[number % len(texts)]), fused=fused)

        return search

    in_cluster = "where=cluster+companion" if shards == 1 else "where=cluster"
    return {
        "cluster, directly": direct(WINDOW),
        "cluster, directly, its default window": direct(None),
        in_cluster: through(name, in_cluster),
        "where=bridge": through(f"{name}-bridge", "where=bridge"),
    }


async def rate(search: Call, searches: int) -> float:
    """Searches per second by several clients."""
    started = time.perf_counter()

    async def client(first: int) -> None:
        for number in range(first, searches, CLIENTS):
            await search(number)

    await asyncio.gather(*(client(first) for first in range(CLIENTS)))
    return searches / (time.perf_counter() - started)


async def warm_up(cluster: Server, bridge: Server, queries: Queries, rounds: int) -> None:
    """Search in every way until the node has compiled what it needs, else the first table pays for that."""
    for shards in SHARDS:
        for search in ways(cluster, bridge, queries, shards).values():
            await rate(search, rounds)


async def latency_table(cluster: Server, bridge: Server, queries: Queries, shards: int, rounds: int) -> Table:
    calls = ways(cluster, bridge, queries, shards)
    seconds = await in_turns(calls, rounds, warm_up=min(rounds, 100))
    rates: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(3):
        for name, search in calls.items():
            rates[name].append(await rate(search, rounds))
    table = Table(box=box.SIMPLE_HEAD)
    base, _, fused, _ = calls
    for heading in (f"hybrid, window {WINDOW}, {shards} shards", "p50", "of the cluster's", f"of {fused}", "q/s at 8"):
        table.add_column(heading, justify="right" if table.columns else "left")
    p50 = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in p50.items():
        queries_per_second = statistics.median(rates[name])
        table.add_row(
            name, f"{value * 1_000:.1f} ms", f"{value / p50[base]:.2f}", f"{value / p50[fused]:.2f}",
            f"{queries_per_second:,.0f}",
        )  # fmt: skip
    return table


async def single_table(cluster: Server, bridge: Server, queries: Queries, bare: Bare, rounds: int) -> Table:
    """`neural` against the `knn` that it becomes, and a text that nobody has asked for yet against a cached one."""
    texts = list(queries.texts.values())

    def knn(vector: Sequence[float]) -> Json:
        excluded = {"excludes": ["embedding", "embedding_meta"]}
        return {"query": {"knn": {"embedding": {"vector": list(vector), "k": WINDOW}}}, "size": 10, "_source": excluded}

    bodies = [knn(vector) for vector in queries.vectors]

    async def direct(number: int) -> None:
        await cluster.search("bench-1", bodies[number % len(bodies)])

    async def neural(number: int) -> None:
        clause = {"neural": {"embedding": {"query_text": texts[number % len(texts)], "k": WINDOW}}}
        await bridge.search("bench-1", {"query": clause, "size": 10})

    async def cached(number: int) -> None:
        await bridge.search("bench-1", plain(texts[number % len(texts)]), fused="where=cluster+companion")

    async def new(number: int) -> None:
        text = f"{number} {texts[number % len(texts)]}"
        await bridge.search("bench-1", plain(text), fused="where=cluster+companion")

    async def model(number: int) -> None:
        await asyncio.to_thread(bare.query_s, f"{number} {texts[number % len(texts)]}")

    calls: dict[str, Call] = {
        "knn, directly": direct,
        "neural, through the bridge, cached": neural,
        "hybrid, through the bridge, cached": cached,
        "hybrid, through the bridge, a new text": new,
        "the model alone": model,
    }
    seconds = await in_turns(calls, rounds, warm_up=min(rounds, 100))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("one shard")
    table.add_column("p50", justify="right")
    for name, values in seconds.items():
        table.add_row(name, f"{statistics.median(values) * 1_000:.1f} ms")
    return table


async def quality_table(cluster: Server, bridge: Server, queries: Queries) -> Table:
    def both(text: str) -> Json:
        return {"query": {"multi_match": {"query": text, "fields": ["title", "abstract"]}}, "size": 10}

    vectors = dict(zip(queries.texts.values(), queries.vectors, strict=True))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("nDCG@10")
    table.add_column("1 shard", justify="right")
    table.add_column("5 shards", justify="right")
    for name, server, index, body in (
        ("lexical", cluster, "", plain),
        ("the cluster's hybrid, its default window", cluster, "", lambda text: hybrid(text, vectors[text], None)),
        ("hybrid, min_max .5/.5, in the cluster", bridge, "", plain),
        ("hybrid, min_max .5/.5, in the bridge", bridge, "-bridge", plain),
        ("hybrid, min_max .5/.5, title and abstract", bridge, "", both),
        ("hybrid, reciprocal ranks", bridge, "-rrf", plain),
    ):
        figures = []
        for shards in (1, 5):
            where = f"bench-{shards}{index}"
            found = {query: await server.search(where, body(text)) for query, text in queries.texts.items()}
            figures.append(f"{measure(queries.judgements, found)['nDCG@10']:.4f}")
        table.add_row(name, *figures)
    return table


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder in BEIR's layout")
    parser.add_argument("--quick", action="store_true", help="every tenth passage, few rounds")
    chosen = parser.parse_args()
    data = open_data_set(chosen.folder)
    rounds = 20 if chosen.quick else 300

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    async with running_system(load_configuration(MEASURED_NODE), upstream=None, report=report) as system:
        where = system.addresses
        async with (
            OpenSearchCluster(where.cluster, timeout_s=120) as cluster,
            OpenSearchCluster(where.bridge, timeout_s=120) as bridge,
            EmbedderClient(where.embedder) as embedder,
            aiohttp.ClientSession() as session,
        ):
            version = (await embedder.models())[0].version
            texts = dict(list(data.queries.items())[: 30 if chosen.quick else None])
            answer = await embedder.embed(
                list(texts.values()), Role.QUERY, model=version.id, lane=Lane.INTERACTIVE, timeout_s=60
            )
            vectors = [answer.vector(position).tolist() for position in range(len(texts))]
            queries = Queries(texts, vectors, {query: data.judgements[query] for query in texts})
            await make_indices(cluster, bridge, version, data.corpus, every=10 if chosen.quick else 1)
            servers = Server(session, where.cluster), Server(session, where.bridge)
            await warm_up(*servers, queries, 2 * rounds)
            tables = [await latency_table(*servers, queries, shards, rounds) for shards in SHARDS]
            bare = Bare(f"{version.id}/{answer.backend}", available_cpus())
            tables.append(await single_table(*servers, queries, bare, rounds))
            tables.append(await quality_table(*servers, queries))
            info = await call(cluster, "GET", "/")
    console = Console(width=110, highlight=False)
    console.print(machine(f"OpenSearch {info['version']['number']}"))
    console.print(*tables)


if __name__ == "__main__":
    asyncio.run(main())
