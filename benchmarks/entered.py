"""Which files of the package one warm request enters: a bulk and a hybrid search in the bridge, a call in the embedder.

    .venv/bin/python benchmarks/entered.py [--list]

Whoever follows one request has to open these files. The script starts a node, `sidecar embedder` and `sidecar bridge`.
The two commands are child processes with a profiler (`entered.py child COMMAND …`). The generated contract is not
counted, and the embedder's worker process is not watched. Half a minute on two cores.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import aiohttp

from sidecar.cli.main import main as run_command
from sidecar.config import load_configuration
from sidecar.model import Role
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.opensearch.local import start_node
from sidecar.ports import Lane
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template, default_base

PACKAGE: Final = Path(__file__).parents[1] / "sidecar"
CONTRACT: Final = PACKAGE / "contract"
ANY: Final = "127.0.0.1:0"
INDEX: Final = "entered-1"
FIELDS: Final = ("title", "abstract")
WARM_UP: Final = 5

Call = Callable[[int], Awaitable[None]]


class Profiler:
    """Notes the files that are entered between SIGUSR1 and SIGUSR2, and answers each signal with a line on stdout."""

    def __init__(self) -> None:
        self._is_on = False
        self._files: set[str] = set()

    def install(self) -> None:
        """Watch the main thread and every thread that starts from now on."""
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)
        threading.setprofile(self._see)
        sys.setprofile(self._see)

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        if self._is_on and event == "call":
            self._files.add(frame.f_code.co_filename)

    def _begin(self, *_: object) -> None:
        self._files.clear()
        self._is_on = True
        say([])

    def _end(self, *_: object) -> None:
        self._is_on = False
        ours = (path for path in map(Path, self._files) if path.is_relative_to(PACKAGE))
        say(sorted(str(path.relative_to(PACKAGE)) for path in ours if not path.is_relative_to(CONTRACT)))


def say(files: Sequence[str]) -> None:
    """Write one line of JSON, past the buffer of `print`: a signal may have interrupted a print."""
    os.write(sys.stdout.fileno(), json.dumps(files).encode() + b"\n")


@dataclass(frozen=True)
class Watched:
    """A command in a child process with a profiler."""

    process: asyncio.subprocess.Process
    ready: dict[str, str]  # the line that the command printed when it was ready

    async def entered_by(self, call: Call) -> list[str]:
        """The files that one call enters, after calls like it."""
        for number in range(WARM_UP):
            await call(number)
        await self._signal(signal.SIGUSR1)
        await call(WARM_UP)
        return await self._signal(signal.SIGUSR2)

    async def _signal(self, which: signal.Signals) -> list[str]:
        self.process.send_signal(which)
        files: list[str] = json.loads(await read_line(self.process))
        return files


@asynccontextmanager
async def watched(*command: str) -> AsyncIterator[Watched]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "child", *command, "--json"), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Watched(process, json.loads(await read_line(process)))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def read_line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, "the child has ended"
    return line


@asynccontextmanager
async def local_node() -> AsyncIterator[str]:
    settings = load_configuration().settings.node
    with tempfile.TemporaryDirectory(prefix="sidecar-node-") as data:
        node = await start_node(settings, port=0, data=Path(data), report=lambda _: None)
        try:
            yield node.url
        finally:
            await node.stop()


async def bind(cluster: str, client: EmbedderClient) -> str:
    """Install a template for the index, and return the model that it names."""
    version = (await client.models())[0].version
    template = compile_template("entered", version, default_base(), index_patterns=[INDEX], source=FIELDS)
    async with OpenSearchCluster(cluster) as installed:
        await apply(installed, template)
    return version.id


def bulk_of(session: aiohttp.ClientSession, bridge: str) -> Call:
    async def bulk(number: int) -> None:
        document = {"title": f"paper {number}", "abstract": "vectors of passages"}
        lines = f"{json.dumps({'index': {'_id': str(number)}})}\n{json.dumps(document)}\n"
        headers = {"Content-Type": "application/x-ndjson"}
        url = f"{bridge}/{INDEX}/_bulk?refresh=true"
        async with session.post(url, data=lines, headers=headers) as response:
            answer: Any = await response.json()
        assert answer["errors"] is False, answer

    return bulk


def search_of(session: aiohttp.ClientSession, bridge: str) -> Call:
    async def search(number: int) -> None:
        query = {"multi_match": {"query": f"passages {number}", "fields": FIELDS}}
        async with session.post(f"{bridge}/{INDEX}/_search", json={"query": query}) as response:
            answer: Any = await response.json()
        done = response.headers["X-Sidecar-Search"]
        assert done.startswith("hybrid"), f"[{done}] is not the search that is measured here"
        assert answer["hits"]["hits"], answer

    return search


def embed_of(client: EmbedderClient, model: str) -> Call:
    async def embed(number: int) -> None:
        text = f"a passage that nobody has embedded before, number {number}"
        await client.embed([text], Role.PASSAGE, model=model, lane=Lane.BULK, timeout_s=60)

    return embed


async def measure() -> dict[str, list[str]]:
    """The files that each kind of request enters."""
    async with (
        local_node() as cluster,
        watched("embedder", "--listen", ANY, "--http-listen", ANY) as embedder,
        EmbedderClient(embedder.ready["embedder"]) as client,
        watched(
            *("bridge", "--listen", ANY, "--admin-listen", ANY),
            *("--upstream", cluster, "--embedder", embedder.ready["embedder"]),
        ) as bridge,
        aiohttp.ClientSession() as session,
    ):
        model = await bind(cluster, client)
        url = bridge.ready["bridge"]
        return {
            "bulk, in the bridge": await bridge.entered_by(bulk_of(session, url)),
            "hybrid search, in the bridge": await bridge.entered_by(search_of(session, url)),
            "embed call, in the embedder": await embedder.entered_by(embed_of(client, model)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print the files as well")
    chosen = parser.parse_args()
    os.environ.setdefault("SIDECAR_LOG_LEVEL", "warning")
    os.environ.setdefault("SIDECAR_BRIDGE_BINDING_TTL_S", "600")  # warm: bindings are remembered
    os.environ.setdefault("SIDECAR_BRIDGE_SEARCH_EMBED_TIMEOUT_S", "10")  # the profiler and a busy machine take time
    for name, files in asyncio.run(measure()).items():
        print(f"{name}: {len(files)} files")
        if chosen.list:
            print(*(f"  {file}" for file in files), sep="\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        sys.argv = ["sidecar", *sys.argv[2:]]
        Profiler().install()
        run_command()
    else:
        main()
