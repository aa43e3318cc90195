"""What pages cost: the first, fused in the cluster and in the bridge, and deep ones with a fixed and a growing window.

    .venv/bin/python benchmarks/pages.py [--documents 20000] [--rounds 60]

Starts a system of its own. The documents are random words with random vectors, which the client brings along, so that
nothing is embedded but one query. Measures in turns, so that a busy machine is busy for all alike.
"""

import argparse
import asyncio
import random
import statistics
import sys
from typing import Any

import aiohttp
from bridge import in_turns
from machine import MEASURED_NODE
from rich import box
from rich.console import Console
from rich.table import Table
from search import Call, Server, call, clone, hybrid

from sidecar.cli.up import running_system
from sidecar.config import load_configuration
from sidecar.jsontext import dumps
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template

SHARDS = (1, 3)
STARTS = (0, 100, 1_000, 9_000)
WORDS = [f"w{number}" for number in range(40)]  # a query of two finds a quarter of all documents
QUERY = "w1 w2"
BULK_DOCUMENTS = 500


async def fill(cluster: OpenSearchCluster, bridge: OpenSearchCluster, embedder: EmbedderClient, documents: int) -> None:
    drawn = random.Random(1)
    version = (await embedder.models())[0].version
    for shards in SHARDS:
        name = f"bench-{shards}"
        base: Any = {
            "settings": {"index.number_of_shards": shards, "index.number_of_replicas": 0},
            "mappings": {"properties": {"content": {"type": "text"}}},
        }
        await apply(cluster, compile_template(name, version, base, index_patterns=[name], source=("content",)))
        for start in range(0, documents, BULK_DOCUMENTS):
            lines: list[Any] = []
            for number in range(start, min(start + BULK_DOCUMENTS, documents)):
                vector = [round(drawn.gauss(0, 1), 4) for _ in range(version.dimension)]
                content = " ".join(drawn.choices(WORDS, k=drawn.randint(4, 12)))
                lines += [{"index": {"_id": str(number)}}, {"content": content, "embedding": vector}]
            body = b"".join(dumps(line) + b"\n" for line in lines)
            assert (await call(bridge, "POST", f"/{name}/_bulk", body))["errors"] is False
        await call(cluster, "POST", f"/{name}/_forcemerge?max_num_segments=1")
        await call(cluster, "POST", f"/{name}/_refresh")
        await clone(cluster, bridge, name, f"{name}-bridge", {"where": "bridge"})


def ways(cluster: Server, bridge: Server, vector: list[float], shards: int) -> dict[str, Call]:
    def page(server: Server, index: str, body: Any, fused: str = "") -> Call:
        async def search(_: int) -> None:
            await server.search(index, body, fused=fused)

        return search

    name = f"bench-{shards}"
    plain = {"query": {"match": {"content": QUERY}}, "size": 10, "_source": {"excludes": ["embedding*"]}}
    found = {"from 0, fused in the cluster": page(bridge, name, plain, "where=cluster" + "+companion" * (shards == 1))}
    for start in STARTS:
        found[f"from {start:,}, fused in the bridge"] = page(
            bridge, f"{name}-bridge", {**plain, "from": start}, "where=bridge"
        )
        if start:
            wide: Any = hybrid(QUERY, vector, start + 10)
            wide["query"]["hybrid"]["queries"][1]["knn"]["embedding"]["k"] = start + 10
            found[f"from {start:,}, the cluster's with a window as deep"] = page(cluster, name, {**wide, "from": start})
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=60)
    chosen = parser.parse_args()

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    tables = []
    async with running_system(load_configuration(MEASURED_NODE), upstream=None, report=report) as system:
        where = system.addresses
        async with (
            OpenSearchCluster(where.cluster, timeout_s=120) as cluster,
            OpenSearchCluster(where.bridge, timeout_s=120) as bridge,
            EmbedderClient(where.embedder) as embedder,
            aiohttp.ClientSession() as session,
        ):
            await fill(cluster, bridge, embedder, chosen.documents)
            dimension = (await embedder.models())[0].version.dimension
            vector = [random.Random(2).gauss(0, 1) for _ in range(dimension)]
            for shards in SHARDS:
                calls = ways(Server(session, where.cluster), Server(session, where.bridge), vector, shards)
                seconds = await in_turns(calls, chosen.rounds, warm_up=chosen.rounds)
                p50 = {name: statistics.median(values) for name, values in seconds.items()}
                base = next(iter(p50.values()))
                table = Table(f"a page of ten, {shards} shards", "p50", "of the first", box=box.SIMPLE_HEAD)
                for name, value in p50.items():
                    table.add_row(name, f"{value * 1_000:.1f} ms", f"{value / base:.2f}")
                tables.append(table)
    Console(width=110, highlight=False).print(*tables)


if __name__ == "__main__":
    asyncio.run(main())
