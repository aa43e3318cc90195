import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.config import load_configuration
from sidecar.errors import ConfigurationError
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.opensearch.instance import NodeFailed
from sidecar.opensearch.local import process_ended, start_node

SETTINGS = load_configuration().settings.node


@pytest.fixture
def folder(unique: str) -> Path:
    """Where a node of one test lives: removed with the run, and open to the user that the node runs as."""
    return Path(os.environ["PYTEST_SIDECAR_RUN_DIRECTORY"], unique)


def quiet(_step: str) -> None:
    pass


async def test_node_has_the_modules_and_the_plugins(cluster: OpenSearchCluster) -> None:
    info = await cluster.call("GET", "/_nodes/_local/plugins")
    (node,) = info.body["nodes"].values()
    assert {plugin["name"] for plugin in node["plugins"]} == {"opensearch-knn", "opensearch-neural-search"}
    assert {"lang-painless", "ingest-common", "reindex", "transport-netty4"} <= {m["name"] for m in node["modules"]}


async def test_node_searches_vectors_with_lucene(cluster: OpenSearchCluster, unique: str) -> None:
    method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
    field = {"type": "knn_vector", "dimension": 2, "method": method}
    await cluster.call(
        "PUT", f"/{unique}", body={"settings": {"index.knn": True}, "mappings": {"properties": {"v": field}}}
    )
    await cluster.call("PUT", f"/{unique}/_doc/1", params={"refresh": "true"}, body={"v": [1, 2]})
    found = await cluster.call("POST", f"/{unique}/_search", body={"query": {"knn": {"v": {"vector": [1, 2], "k": 1}}}})
    assert [hit["_score"] for hit in found.body["hits"]["hits"]] == [1.0]


async def test_taken_port_gives_a_free_one_and_stop_is_clean(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = await start_node(SETTINGS, port=port, data=folder, report=quiet)
    assert not node.url.endswith(f":{port}")
    assert Path(f"/proc/{node.pid}").owner() != "root"  # noqa: ASYNC240 - /proc does not block
    await node.stop()
    assert await node.exited() == 128 + signal.SIGTERM
    await node.stop()
    assert "[o.o.n.Node               ] closed" in (folder / "node.log").read_text()


async def test_node_ends_with_the_process_that_started_it(folder: Path) -> None:
    starter = (
        "import asyncio, os, pathlib, sys\n"
        "from sidecar.config import load_configuration\n"
        "from sidecar.opensearch.local import start_node\n"
        "settings = load_configuration().settings.node\n"
        "node = asyncio.run(start_node(settings, port=0, data=pathlib.Path(sys.argv[1]), report=lambda step: None))\n"
        "print(node.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", starter, str(folder), stdout=subprocess.PIPE)
    answer, _ = await process.communicate()
    async with asyncio.timeout(20):
        await process_ended(int(answer))


async def test_node_that_dies_at_start_is_an_error_with_its_own_reason(folder: Path) -> None:
    with pytest.raises(NodeFailed, match=r"Invalid maximum heap size|Initial heap size|Could not reserve|Too small"):
        await start_node(SETTINGS.model_copy(update={"heap": "1m"}), port=0, data=folder, report=quiet)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's node runs as another user")
def test_folder_that_the_nodes_user_cannot_enter_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=f"user nobody, who may not enter {folder};"):
        asyncio.run(start_node(SETTINGS, port=0, data=folder / "node", report=quiet))


async def test_cancelled_start_leaves_no_node(folder: Path) -> None:
    starting = asyncio.Event()

    def report(step: str) -> None:
        if step.endswith("starts"):
            starting.set()

    start = asyncio.ensure_future(start_node(SETTINGS, port=0, data=folder, report=report))
    await starting.wait()
    await asyncio.sleep(0)  # the process is spawned, and its start is awaited
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert processes_of(folder) == []


def processes_of(folder: Path) -> list[str]:
    seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in seen.stdout.splitlines() if f"path.conf={folder}" in line]
