"""The process that computes is killed, stopped and broken; the server tells the truth about it and recovers."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from sidecar.config import EmbedderSettings
from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding.loading.models import OpenedModel, open_models
from sidecar.embedding.server import Running, serving
from sidecar.embedding.worker.supervisor import Worker, working
from sidecar.errors import ConfigurationError, SidecarError
from sidecar.models.store import ModelStore
from tests.support.built import MINILM, W8
from tests.support.waiting import PATIENCE_S, until

# One after the other: two of these at once leave neither the processor that its time limits count on.
pytestmark = pytest.mark.xdist_group("whole machine")

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LONG = "A search index keeps for each word the documents that hold it. " * 20


@dataclass
class System:
    running: Running
    worker: Worker
    channel: grpc.aio.Channel

    @property
    def pid(self) -> int:
        assert self.worker.pid is not None
        return self.worker.pid

    def health(self) -> Any:
        stub = health_pb2_grpc.HealthStub(self.channel)
        return stub.Watch(health_pb2.HealthCheckRequest(service=MINILM))

    async def embed(self, *texts: str) -> NDArray[np.float32]:
        """Without the client of ours, which keeps away from a server for a while after it was refused."""
        stub = embedding_pb2_grpc.EmbedderStub(self.channel)
        reply = await stub.Embed(pb.EmbedRequest(model=MINILM, texts=texts), timeout=PATIENCE_S)
        assert [item.error.message for item in reply.items] == [""] * len(texts)
        return np.frombuffer(reply.matrix, "<f4").reshape(len(texts), -1)

    async def readyz(self) -> int:
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.running.http_address}/readyz") as got:
            return got.status


@pytest.fixture(scope="module")
def opened(w8_models: Path) -> tuple[OpenedModel, ...]:
    return open_models([W8], ModelStore(w8_models))


@asynccontextmanager
async def system(opened: tuple[OpenedModel, ...]) -> AsyncIterator[System]:
    settings = EmbedderSettings(listen="127.0.0.1:0", http_listen="127.0.0.1:0")
    async with (
        asyncio.timeout(5 * PATIENCE_S),
        working(opened, 2) as worker,
        serving(settings, worker.loaded) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        yield System(running, worker, channel)


async def at_rest(_: System, __: asyncio.TaskGroup) -> None:
    """Nothing is asked of it."""


async def computing(one: System, group: asyncio.TaskGroup) -> None:
    """Batches are in work and more wait."""
    group.create_task(same_as_alone(one, [f"{number} {LONG}" for number in range(60)]))
    assert one.worker._life is not None
    in_work = one.worker._life.in_work
    await until(lambda: any(batch.answer for batch in in_work.values()), every_s=0.001)


async def same_as_alone(one: System, texts: list[str]) -> None:
    together = await one.embed(*texts)
    alone = await one.embed(texts[7] + " ")  # white space makes no token, but another text for the cache
    np.testing.assert_array_equal(together[7], alone[0])


@pytest.mark.parametrize("stage", [at_rest, computing])
async def test_a_worker_that_is_killed_is_replaced_and_no_request_in_work_is_lost(
    stage: Callable[[System, asyncio.TaskGroup], Awaitable[None]], opened: tuple[OpenedModel, ...]
) -> None:
    async with system(opened) as one, asyncio.TaskGroup() as group:
        before = await one.embed("text")
        watch = one.health()
        assert (await watch.read()).status == SERVING
        await stage(one, group)
        first = one.pid
        os.kill(first, signal.SIGKILL)
        assert (await watch.read()).status == NOT_SERVING
        assert await one.readyz() == 503
        with pytest.raises(grpc.aio.AioRpcError, match="the embedder is restarting what computes") as refused:
            await one.embed("while it is away")
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await watch.read()).status == SERVING
        assert one.pid != first
        np.testing.assert_array_equal(before, await one.embed("text "))


async def test_a_worker_that_is_killed_while_it_loads_is_replaced(opened: tuple[OpenedModel, ...]) -> None:
    async with system(opened) as one:
        watch = one.health()
        assert (await watch.read()).status == SERVING
        first = one.pid
        os.kill(first, signal.SIGKILL)
        assert (await watch.read()).status == NOT_SERVING
        second = await _successor(first)
        os.kill(second, signal.SIGKILL)
        assert (await watch.read()).status == SERVING
        assert one.pid not in {first, second}
        await one.embed("text")


@pytest.mark.parametrize("stage", [at_rest, computing])
async def test_a_worker_that_hangs_shows_soon_and_may_come_back(
    stage: Callable[[System, asyncio.TaskGroup], Awaitable[None]], opened: tuple[OpenedModel, ...]
) -> None:
    async with system(opened) as one, asyncio.TaskGroup() as group:
        watch, clock = one.health(), asyncio.get_running_loop().time
        assert (await watch.read()).status == SERVING
        await stage(one, group)
        stopped, first = clock(), one.pid
        os.kill(first, signal.SIGSTOP)
        assert (await watch.read()).status == NOT_SERVING
        assert clock() - stopped < 20 * 0.8  # 0.8 s, on a machine that has time for it
        os.kill(first, signal.SIGCONT)
        assert (await watch.read()).status == SERVING
        assert one.pid == first


async def test_a_worker_that_goes_on_hanging_is_replaced(
    opened: tuple[OpenedModel, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.embedding.worker.supervisor._LAST_LOOKS", 5)
    async with system(opened) as one, asyncio.TaskGroup() as group:
        watch = one.health()
        assert (await watch.read()).status == SERVING
        await computing(one, group)
        first = one.pid
        os.kill(first, signal.SIGSTOP)
        assert (await watch.read()).status == NOT_SERVING
        assert (await watch.read()).status == SERVING
        assert one.pid != first


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        pytest.param({"folder": Path("/nowhere")}, SidecarError, "ended with exit code 1", id="it breaks"),
        pytest.param(
            {"backend": "openvino-w8", "references": np.eye(8, 384, dtype=np.float32)},
            ConfigurationError,
            r"\[all-minilm-l6-v2@1\] on back end \[openvino-w8\] failed: probe 0",
            id="its vectors are wrong",
        ),
    ],
)
async def test_a_first_worker_that_cannot_load_is_told(
    change: dict[str, str], error: type[SidecarError], problem: str, opened: tuple[OpenedModel, ...]
) -> None:
    with pytest.raises(error, match=problem):
        async with working([replace(opened[0], **change)], 2) as worker:
            await worker.loaded(lambda usable: None)


async def _successor(first: int) -> int:
    """The process that is started after the first one, while it imports its libraries."""
    while True:
        for pid in _children(os.getpid()) - {first}:
            if b"sidecar.embedding.worker.process" in Path(f"/proc/{pid}/cmdline").read_bytes():  # noqa: ASYNC240
                return pid
        await asyncio.sleep(0.01)


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


async def test_the_server_says_how_fast_it_computes(opened: tuple[OpenedModel, ...]) -> None:
    async with system(opened) as one:
        stub = embedding_pb2_grpc.ModelsStub(one.channel)
        info = await stub.Get(pb.GetModelRequest(model=MINILM), timeout=PATIENCE_S)

        assert 0 < info.full_text_s < PATIENCE_S


async def test_no_library_starts_a_thread_for_each_core_of_the_machine(opened: tuple[OpenedModel, ...]) -> None:
    async with system(opened) as one:
        environment = environment_of(one.pid)
    assert {b"OMP_NUM_THREADS=2", b"OPENBLAS_NUM_THREADS=2"} <= set(environment)


def environment_of(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
