"""A node that is restarted behind the bridge while clients write (of case 31 of our list what one node can show)."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aiohttp import ServerDisconnectedError

from sidecar.bridge.app import serving
from sidecar.config import load_configuration
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.opensearch.local import start_node
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template
from tests.support.between import bridge_settings, broken_promises, stored
from tests.support.embedders import HashEmbedder
from tests.support.http import Http, http, ndjson

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
SETTINGS = load_configuration().settings.node
BASE = {"properties": {"title": {"type": "text"}, "year": {"type": "integer"}}}
WRITERS, BULKS, DOCUMENTS = 3, 12, 20


async def write(bridge: Http, writer: int, told: Callable[[], None]) -> None:
    """Bulks of documents with ids; what is not acknowledged is sent again."""
    for bulk in range(BULKS):
        left = {f"{writer}-{bulk}-{n}" for n in range(DOCUMENTS)}
        async with asyncio.timeout(300):
            while left:
                lines = [
                    line for name in sorted(left) for line in ({"create": {"_id": name}}, {"title": f"text {name}"})
                ]
                with suppress(ServerDisconnectedError):  # the cluster may have carried it out, as every client knows
                    answer = await bridge("POST", "/papers/_bulk", ndjson(*lines))
                    if answer.status == 200:
                        items = [item["create"] for item in answer.json["items"]]
                        left -= {item["_id"] for item in items if item["status"] in (201, 409)}
                if left:
                    await asyncio.sleep(0.2)
        told()


async def test_case_31_a_restart_behind_the_bridge_loses_and_doubles_nothing(unique: str) -> None:
    folder = Path(os.environ["PYTEST_SIDECAR_RUN_DIRECTORY"], unique)
    embedder, some_written = HashEmbedder(MINILM), asyncio.Event()
    template = compile_template(unique, MINILM, BASE, index_patterns=("papers*",), source=("title",))
    node = await start_node(SETTINGS, port=0, data=folder, report=lambda _step: None)
    try:
        async with OpenSearchCluster(node.url) as cluster:
            await apply(cluster, template)
        url, port = node.url, int(node.url.rpartition(":")[2])
        async with (
            serving(bridge_settings(url, write_answer_timeout_s=20), embedder) as at,
            http(f"http://{at.address}", url) as (bridge, direct),
        ):
            async with asyncio.TaskGroup() as tasks:
                for writer in range(WRITERS):
                    tasks.create_task(write(bridge, writer, some_written.set))
                await some_written.wait()
                await node.stop()
                node = await start_node(SETTINGS, port=port, data=folder, report=lambda _step: None)

            assert node.url == url
            documents = await stored(direct, "papers")
    finally:
        await node.stop()
    assert documents.keys() == {
        f"{writer}-{bulk}-{n}" for writer in range(WRITERS) for bulk in range(BULKS) for n in range(DOCUMENTS)
    }
    assert broken_promises(documents, template.binding.fields["embedding"], embedder) == []
