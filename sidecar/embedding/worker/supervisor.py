"""The server's side of the process that computes: starts it, watches it, and starts it again when it dies or hangs."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from sidecar.embedding.backends.computing import BatchResult, WorkerLost
from sidecar.embedding.loading.models import LoadedModel, OpenedModel, self_test
from sidecar.embedding.worker.frames import PREFIX_BYTES, pack, sizes, texts_frame, vectors_of
from sidecar.errors import ConfigurationError, ErrorKind, SidecarError
from sidecar.telemetry import EMBEDDER_WORKER_STARTS, logger

_LOOK_S: Final = 0.2  # between two looks at the process. An idle one is asked for a sign of life as often
# Counts of looks in a row at a worker that owes an answer and has used no processor time. The time on a clock would say
# less, because this process may not have had the processor itself.
_SUSPICIOUS_LOOKS: Final = 3  # then health says so
_LAST_LOOKS: Final = 25  # then it is killed
_LONGEST_BATCH_S: Final = 120.0  # a batch that takes longer will never end
_EXIT_TIMEOUT_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.2  # between two attempts to start the process, doubled each time
_LONGEST_PAUSE_S: Final = 30.0

_THREADS_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MODULE: Final = "sidecar.embedding.worker.process"

_log = logger("embedding.worker")


@dataclass(eq=False)
class WorkerFailed(SidecarError):
    """The process that computes has died or was killed."""

    reason: str
    kind = ErrorKind.INTERNAL

    def __str__(self) -> str:
        return f"the process that computes {self.reason}"


@dataclass(eq=False, slots=True)
class _InWork:
    answer: asyncio.Future[BatchResult] | None  # None for a sign of life
    since: float


@dataclass(eq=False, slots=True)
class _Life:
    """One process and the batches that it has in work."""

    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    in_work: dict[int, _InWork] = field(default_factory=dict)
    tested: bool = False


@dataclass(frozen=True, slots=True)
class _ModelInWorker:
    """One model of the worker. Implements `Computing`."""

    worker: "Worker"
    number: int
    name: str
    deterministic: bool
    bucket_tokens: int
    batch_tokens: int
    streams: int

    async def usable(self) -> None:
        await self.worker.usable()

    async def compute(self, batch: Sequence[NDArray[np.int32]]) -> BatchResult:
        return await self.worker.compute(self.number, batch)


class Worker:
    """Computes batches in another process, while `run` is running."""

    def __init__(self, opened: Sequence[OpenedModel], threads: int) -> None:
        self._opened = opened
        self._threads = threads
        self._numbers = count()
        self._life: _Life | None = None
        self._usable = asyncio.Event()
        self._loaded: asyncio.Future[Sequence[LoadedModel]] = asyncio.get_running_loop().create_future()
        self._tell: Callable[[bool], None] = lambda _usable: None
        self.asked_to_load = asyncio.Event()

    async def loaded(self, tell: Callable[[bool], None]) -> Sequence[LoadedModel]:
        """The models, once they are loaded and tested. From then on `tell` hears when they become (un)usable."""
        models = await self._loaded
        self._tell = tell
        return models

    @property
    def pid(self) -> int | None:
        """The id of the process that computes, or None while there is none."""
        return self._life.process.pid if self._life else None

    async def usable(self) -> None:
        """Wait until there is a process that computes."""
        await self._usable.wait()

    async def compute(self, model: int, batch: Sequence[NDArray[np.int32]]) -> BatchResult:
        """Compute a batch with the model of this number. Raises WorkerLost if the process ends meanwhile."""
        if self._life is None:
            raise WorkerLost
        answer: asyncio.Future[BatchResult] = asyncio.get_running_loop().create_future()
        self._send(self._life, texts_frame(number := next(self._numbers), model, batch), number, answer)
        return await answer

    async def run(self) -> None:
        """Keep a process running until cancelled. Raises the error that prevents the first start, a SidecarError."""
        pause_s = 0.0
        while True:
            EMBEDDER_WORKER_STARTS.inc()
            try:
                await self._live()
            except* (SidecarError, OSError) as several:
                reason = several.exceptions[0]
            if not self._loaded.done():
                raise reason
            pause_s = 0.0 if self._usable.is_set() else min(max(2 * pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            self._become(usable=False)
            _log.error("starting another worker", action="worker_ended", reason=str(reason), after_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _live(self) -> None:
        """Run one process from its start to its end. Raises an ExceptionGroup or is cancelled."""
        life = await _start(self._threads)
        try:
            async with asyncio.TaskGroup() as group:
                models = await self._load(life)
                self._life = life
                group.create_task(self._read_answers(life), name="read the worker's answers")
                group.create_task(self._watch(life), name="watch the worker")
                seconds = [
                    await self_test(opened.version, model.backend, model.tokenizer, opened.references)
                    for opened, model in zip(self._opened, models, strict=True)
                ]
                life.tested = True
                if not self._loaded.done():
                    self._loaded.set_result(
                        [replace(model, full_text_s=s) for model, s in zip(models, seconds, strict=True)]
                    )
                self._become(usable=True)
        finally:
            self._life = None
            await _end(life)

    async def _load(self, life: _Life) -> Sequence[LoadedModel]:
        wanted = [{**opened.load, "threads": self._threads} for opened in self._opened]
        life.writer.write(pack({"load": wanted}))
        await life.writer.drain()
        self.asked_to_load.set()
        header, _ = await _read(life)
        if "refused" in header:
            raise ConfigurationError(header["refused"])
        if self._loaded.done():  # the models that others hold already now use the new process
            return self._loaded.result()
        return [
            LoadedModel(
                opened.version,
                _ModelInWorker(self, number, opened.backend, **facts),
                opened.tokenizer,
                opened.build,
            )
            for number, (opened, facts) in enumerate(zip(self._opened, header["loaded"], strict=True))
        ]

    def _send(self, life: _Life, frame: bytes, number: int, answer: asyncio.Future[BatchResult] | None) -> None:
        life.in_work[number] = _InWork(answer, asyncio.get_running_loop().time())
        life.writer.write(frame)

    async def _read_answers(self, life: _Life) -> None:
        while True:
            header, block = await _read(life)
            answer = life.in_work.pop(header["batch"]).answer
            if answer is not None and not answer.done():  # it is done if its caller was cancelled
                answer.set_result(BatchResult(vectors_of(header["rows"], block), dict(header["failures"])))

    async def _watch(self, life: _Life) -> None:
        looks, seen = 0, None
        while True:
            await asyncio.sleep(_LOOK_S)
            if not life.in_work:
                self._send(life, texts_frame(number := next(self._numbers), 0, []), number, None)
            oldest, waiting = next(iter(life.in_work.items()))
            now_seen = (oldest, _processor_time(life.process.pid))
            looks = looks + 1 if now_seen == seen else 0
            seen = now_seen
            if looks >= _LAST_LOOKS:
                raise WorkerFailed(f"gives no answer and has done nothing for {_LAST_LOOKS * _LOOK_S:.0f} s")
            if asyncio.get_running_loop().time() - waiting.since > _LONGEST_BATCH_S:
                raise WorkerFailed(f"has computed one batch for {_LONGEST_BATCH_S:.0f} s")
            if life.tested:
                self._become(usable=looks < _SUSPICIOUS_LOOKS)

    def _become(self, *, usable: bool) -> None:
        if usable == self._usable.is_set():
            return
        if usable:
            self._usable.set()
        else:
            self._usable.clear()
        self._tell(usable)


@asynccontextmanager
async def working(opened: Sequence[OpenedModel], threads: int) -> AsyncIterator[Worker]:
    """A worker that has been asked to load the models. Wait for `Worker.loaded` before using them.

    Raises a SidecarError if the first process cannot load them or fails the self-test.
    """
    worker = Worker(opened, threads)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(worker.run(), name="worker")
            await worker.asked_to_load.wait()
            try:
                yield worker
            finally:
                running.cancel()
    except ExceptionGroup as several:
        raise several.exceptions[0] from None  # the first to fail has cancelled the other


async def _start(threads: int) -> _Life:
    ours, theirs = socket.socketpair()
    # Libraries that see only the cores of the machine would start a thread for each, whatever the quota is.
    library_threads = dict.fromkeys(_THREADS_VARIABLES, str(threads))
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _MODULE, str(theirs.fileno())),
            pass_fds=(theirs.fileno(),),
            stdin=DEVNULL,
            stdout=2,  # the output of a library must not mix with that of the command
            env={**library_threads, **os.environ},
        )
    reader, writer = await asyncio.open_connection(sock=ours)
    return _Life(process, reader, writer)


async def _end(life: _Life) -> None:
    if life.process.returncode is None:
        life.process.kill()
    life.writer.close()
    for waiting in life.in_work.values():
        if waiting.answer is not None and not waiting.answer.done():
            waiting.answer.set_exception(WorkerLost())
    await life.process.wait()


async def _read(life: _Life) -> tuple[dict[str, Any], bytes]:
    """The next frame. Raises WorkerFailed at the end of the connection."""
    try:
        header_bytes, block_bytes = sizes(await life.reader.readexactly(PREFIX_BYTES))
        header = orjson.loads(await life.reader.readexactly(header_bytes))
        return header, await life.reader.readexactly(block_bytes)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        try:
            async with asyncio.timeout(_EXIT_TIMEOUT_S):
                exit_code = await life.process.wait()
        except TimeoutError:
            raise WorkerFailed("closed its connection") from error
        if exit_code < 0:
            raise WorkerFailed(f"was killed by signal {-exit_code}") from error
        raise WorkerFailed(f"ended with exit code {exit_code}") from error


def _processor_time(pid: int) -> tuple[str, ...]:
    """The processor time of a process so far, as the kernel writes it. Empty if the process has gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return ()
    return tuple(after_name[11:13])  # utime and stime, fields 14 and 15 in proc(5)
