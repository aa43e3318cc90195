"""The client over two embedders, as processes of their own: what it does when one of them is killed or hangs."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from sidecar.errors import EmbedderUnavailable, SidecarError
from sidecar.model import Role
from sidecar.ports import Embeddings, Lane
from sidecar.rpc import EmbedderClient
from sidecar.rpc.replica import Replica
from tests.support.built import MINILM, W8
from tests.support.folders import ROOT

# One after the other: what is measured here are seconds in which two embedders and their client have to get a turn.
pytestmark = pytest.mark.xdist_group("whole machine")


@dataclass(frozen=True, slots=True)
class Server:
    """One embedder as a process."""

    process: asyncio.subprocess.Process
    address: str
    http: str

    async def texts(self) -> float:
        """How many texts it has been asked for."""
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.http}/metrics") as answer:
            lines = re.findall(r"^sidecar_embedder_texts_total\{.*\} (.*)$", await answer.text(), re.MULTILINE)
        return sum(map(float, lines))


@asynccontextmanager
async def embedder(folder: Path, models: Path) -> AsyncIterator[Server]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.cli.main", "embedder", "--model", W8, "--json"),
        *("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT), "SIDECAR_MODELS_DIR": str(models)},
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        yield Server(process, ready["embedder"], ready["http"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def two_embedders(folder: Path, models: Path) -> AsyncIterator[tuple[Server, Server]]:
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(embedder(folder, models)) for _ in range(2)]
        one, other = await asyncio.gather(*starting)
        yield one, other


async def embed(client: EmbedderClient, text: str, timeout_s: float = 60) -> Embeddings:
    return await client.embed([text], Role.PASSAGE, model=MINILM, lane=Lane.BULK, timeout_s=timeout_s)


@dataclass
class Load:
    """Four callers, each of which asks again as soon as it is answered."""

    client: EmbedderClient
    slowest_s: float = 0.0
    answers: int = 0
    failures: list[SidecarError] = field(default_factory=list)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for caller in range(4):
                group.create_task(self._call(caller))

    async def _call(self, caller: int) -> None:
        now = asyncio.get_running_loop().time
        while not self.may_end.is_set():
            started = now()
            try:
                await embed(self.client, f"text {self.answers} of caller {caller}")
            except SidecarError as error:
                self.failures.append(error)
            self.slowest_s = max(self.slowest_s, now() - started)
            self.answers += 1

    async def more(self, answers: int = 20) -> None:
        """Wait for so many answers from now on."""
        wanted = self.answers + answers
        await until(lambda: _true(self.answers >= wanted))


async def _true(value: bool) -> bool:
    return value


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 10) -> float:
    """Ask again and again; the seconds that it took."""
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - it is another process that changes
            await asyncio.sleep(0.05)
    return asyncio.get_running_loop().time() - started


@asynccontextmanager
async def under_load(client: EmbedderClient) -> AsyncIterator[Load]:
    load = Load(client)
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        try:
            await load.more()
            yield load
        finally:
            load.may_end.set()


def replica_at(client: EmbedderClient, server: Server) -> Replica:
    return next(one for one in client._rotation._replicas.values() if one.address == server.address)


async def used_again(client: EmbedderClient, server: Server) -> bool:
    before = await server.texts()
    await asyncio.gather(*(embed(client, f"text {number}") for number in range(4)))
    return await server.texts() > before


async def test_calls_are_spread_and_survive_a_replica_that_hangs_or_is_killed(tmp_path: Path, w8_models: Path) -> None:
    async with (
        two_embedders(tmp_path, w8_models) as (one, other),
        EmbedderClient(f"{one.address},{other.address}") as client,
    ):
        for number in range(20):
            await embed(client, f"text {number}")
        assert (await one.texts(), await other.texts()) == (10, 10)

        async with under_load(client) as load:
            one.process.send_signal(signal.SIGSTOP)
            await until(lambda: _true(not replica_at(client, one).is_usable), within_s=5)
            await load.more()
            one.process.send_signal(signal.SIGCONT)
            assert await until(lambda: used_again(client, one)) < 5
        assert load.failures == []
        assert load.slowest_s < 5

        async with under_load(client) as load:
            one.process.kill()
            await one.process.wait()
            await load.more(100)
        assert load.failures == []
        assert load.slowest_s < 2


async def test_a_load_goes_on_elsewhere_when_its_replica_is_killed_and_ends_when_both_are(
    tmp_path: Path, w8_models: Path
) -> None:
    texts = [f"Line {number} says {number * 7}." for number in range(500)]
    async with (
        two_embedders(tmp_path, w8_models) as (one, other),
        EmbedderClient([one.address, other.address]) as client,
    ):
        expected = await client.encode(texts, Role.PASSAGE, model=MINILM)
        position = 0
        async for batch in client.embed_many(texts, Role.PASSAGE, model=MINILM):
            wanted = expected[position : position + len(batch.items)]
            assert abs(batch.matrix - wanted).max() < 1e-4
            position += len(batch.items)
            if position == 128:
                for server in (one, other):
                    if replica_at(client, server)._connection.users:  # the stream: no other call is in flight
                        server.process.kill()
        assert position == len(texts)
        assert (one.process.returncode is None) != (other.process.returncode is None)

        for server in (one, other):
            if server.process.returncode is None:
                server.process.kill()
                await server.process.wait()
        with pytest.raises(EmbedderUnavailable):
            await embed(client, "neither is there")
        asked = asyncio.get_running_loop().time()
        with pytest.raises(EmbedderUnavailable, match=f"{one.address}, {other.address}: .*refused"):
            await embed(client, "neither is there")
        assert asyncio.get_running_loop().time() - asked < 0.05
        assert not await client.healthy()
