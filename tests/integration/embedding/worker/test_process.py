"""The process that computes, by itself."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.integration.embedding.worker.test_supervisor import _children
from tests.support.built import W8

# One after the other: two of these at once leave neither the processor that its time limits count on.
pytestmark = pytest.mark.xdist_group("whole machine")


async def test_when_the_server_is_killed_its_worker_ends(w8_models: Path) -> None:
    options = ("--model", W8, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.cli.main", "embedder", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "SIDECAR_MODELS_DIR": str(w8_models)},
    )
    assert server.stdout is not None
    assert b"ready" in await server.stdout.readline()
    (worker,) = _children(server.pid)
    handle = os.pidfd_open(worker)
    server.kill()
    await server.wait()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(5):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
