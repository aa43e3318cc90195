"""Parts of `benchmarks/bulk.py` that are processes of their own: a stub of the embedding server, and a watched bridge.

    .venv/bin/python benchmarks/bulk_parts.py stub SPACE DIMENSION
    .venv/bin/python benchmarks/bulk_parts.py bridge UPSTREAM EMBEDDER

Each prints one line of JSON when it is ready, and ends on SIGTERM; the bridge then prints what its event loop has seen.
"""

import asyncio
import json
import signal
import sys
import time
from asyncio import events
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from sidecar.bridge.app import serving
from sidecar.config import BridgeSettings
from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.rpc.client import EmbedderClient
from sidecar.telemetry import configure_logging

ANY = "127.0.0.1:0"
TICK_S = 0.01


class Stub(embedding_pb2_grpc.EmbedderServicer):
    """Answers at once; which vector a text gets depends on its length alone."""

    def __init__(self, space: str, dimension: int) -> None:
        self._space = space
        drawn = np.random.default_rng(1).standard_normal((997, dimension)).astype(np.float32)
        self._rows = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    async def Embed(self, request: pb.EmbedRequest, _: grpc.aio.ServicerContext) -> pb.EmbedReply:  # noqa: N802
        rows = self._rows[[len(text) % len(self._rows) for text in request.texts]]
        return pb.EmbedReply(
            model=request.model,
            space=self._space,
            backend="stub",
            dimension=rows.shape[1],
            encoding=pb.ENCODING_FLOAT32,
            matrix=rows.tobytes(),
            items=[pb.Item(row=row) for row in range(len(rows))],
        )


async def serve_stub(space: str, dimension: str) -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    embedding_pb2_grpc.add_EmbedderServicer_to_server(Stub(space, int(dimension)), server)
    healthy = health.aio.HealthServicer()  # type: ignore[attr-defined]
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    port = server.add_insecure_port(ANY)
    await server.start()
    tell(embedder=f"127.0.0.1:{port}")
    await signalled()
    await server.stop(grace=None)


@dataclass
class Loop:
    """What an event loop has been through, in milliseconds."""

    late_ms: float = 0.0  # how much later than asked for a timer of 10 ms was served, at worst
    callback_ms: float = 0.0  # the longest that one callback has run
    callback_cpu_ms: float = 0.0  # the same, without what the thread waited for a core or for the interpreter
    callback: str = ""  # which one that was

    async def tick(self) -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self.late_ms = max(self.late_ms, (time.perf_counter() - due) * 1_000)

    def watch_callbacks(self) -> None:
        run = events.Handle._run  # noqa: SLF001

        def watched(handle: events.Handle) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            run(handle)
            cpu_ms = (time.thread_time() - cpu) * 1_000
            self.callback_ms = max(self.callback_ms, (time.perf_counter() - wall) * 1_000)
            if cpu_ms > self.callback_cpu_ms:
                self.callback_cpu_ms, self.callback = cpu_ms, described(handle._callback)  # type: ignore[attr-defined]  # noqa: SLF001

        events.Handle._run = watched  # type: ignore[assignment,method-assign]  # noqa: SLF001


def described(callback: object) -> str:
    """What a callback was; if it was a step of a task, where that waits now."""
    task = getattr(callback, "__self__", None)
    coroutine = task.get_coro() if isinstance(task, asyncio.Task) else None
    places = []
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        coroutine = coroutine.cr_await
    return " > ".join(places[-4:]) or getattr(callback, "__qualname__", repr(callback))


async def serve_bridge(upstream: str, embedder: str) -> None:
    settings = BridgeSettings.model_validate({"listen": ANY, "admin_listen": ANY, "upstream": upstream})
    async with EmbedderClient(embedder) as client, serving(settings, client) as at, asyncio.TaskGroup() as tasks:
        seen = Loop()
        seen.watch_callbacks()
        ticking = tasks.create_task(seen.tick(), name="ticks")
        tell(bridge=f"http://{at.address}", resident_mb=memory_mb("VmRSS"))
        await signalled()
        ticking.cancel()
        tell(**asdict(seen), peak_mb=memory_mb("VmHWM"))


def memory_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


async def signalled() -> None:
    wanted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, wanted.set)
    await wanted.wait()


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    configure_logging("error")
    part, *arguments = sys.argv[1:]
    asyncio.run({"stub": serve_stub, "bridge": serve_bridge}[part](*arguments))
