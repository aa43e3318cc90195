"""Commands that stay in the foreground: they stop on a signal, and their children never outlive them."""

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from sidecar.errors import ErrorKind, SidecarError

_STOP_TIMEOUT_S: Final = 40.0  # longer than any drain
_M_MMAP_THRESHOLD: Final = -3  # of mallopt(3): from this size on, memory is taken from the system piece by piece
_LARGE_BYTES: Final = 256 * 1024
_SAME_SIGNAL_S: Final = 1.0  # timeout(1) signals the process and then its group, which is one request and not two


def run_until_signal(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine. SIGINT or SIGTERM cancels it, and its contexts end in order. A second signal ends at once."""
    _give_memory_back()
    asyncio.run(_cancel_on_signal(main))


def _give_memory_back() -> None:
    """Let what a large body or answer took go back to the system when it is free. Otherwise glibc keeps most of it."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


async def _cancel_on_signal(main: Coroutine[Any, Any, None]) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    stopping_since: float | None = None

    def stop() -> None:
        nonlocal stopping_since
        if stopping_since is None:
            stopping_since = loop.time()
            if task is not None:
                task.cancel()
        elif loop.time() - stopping_since > _SAME_SIGNAL_S:
            os._exit(128 + signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await main
    except asyncio.CancelledError:
        if stopping_since is None:
            raise


async def until_cancelled() -> None:
    """Wait while a server serves. The garbage collector skips all objects that exist by now, because they stay.

    A full collection walks all modules. It takes some fifty milliseconds, in which nobody is answered.
    """
    gc.freeze()
    await asyncio.Event().wait()


@dataclass(eq=False)
class NotReady(SidecarError):
    """A command of ours ended before it was ready."""

    name: str
    exit_code: int

    def __post_init__(self) -> None:
        # 2 says that a setting or the machine must be changed, and then this process says the same.
        self.kind = ErrorKind.CONFIGURATION if self.exit_code == 2 else ErrorKind.UNAVAILABLE

    def __str__(self) -> str:
        return f"the {self.name} ended with exit code {self.exit_code} before it was ready"


class Child:
    """One of our own commands as a child process that has said it is ready."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, ready: dict[str, str]) -> None:
        self.name = name
        self.pid = process.pid
        self.ready = ready  # what the command printed with --json
        self._process = process

    async def exited(self) -> int:
        """Wait until it ends, for its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and wait. SIGTERM lets it drain, and SIGKILL follows if that takes too long."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def child(name: str, arguments: Sequence[str]) -> AsyncIterator[Child]:
    """Run `sidecar NAME ARGUMENTS --json` until the context ends. It is ready when the context begins.

    Raises NotReady if it ends before that. Its own sentence is on stderr then.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sidecar.cli.dependent", str(os.getpid()), name, *arguments, "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    running = Child(name, process, {})
    try:
        line = await process.stdout.readline() if process.stdout else b""
        if not line:
            raise NotReady(name, await process.wait())
        running.ready = json.loads(line)
        yield running
    finally:
        await running.stop()
