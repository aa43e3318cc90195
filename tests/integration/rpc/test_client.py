"""The client library: loads of any size over EmbedStream, the client without an event loop, and the documentation."""

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.config import EmbedderSettings
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.server import serving
from sidecar.embedding.service import EmbeddingService
from sidecar.errors import DeadlineExceeded, EmbedderUnavailable, InvalidInput, ModelNotFound, SpaceMismatch
from sidecar.model import Role
from sidecar.ports import Lane
from sidecar.rpc import EmbedderClient, SyncEmbedderClient
from tests.support.built import MINILM, W8
from tests.support.computing import Double, InThread, ready
from tests.support.folders import ROOT

PAGE = ROOT / "docs" / "embedding-server.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@asynccontextmanager
async def client_of(
    loaded: LoadedModel, *, max_message_bytes: int = 1_000_000, **settings: Any
) -> AsyncIterator[EmbedderClient]:
    free = EmbedderSettings(**{"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", **settings})
    async with (
        serving(free, ready(loaded)) as running,
        EmbedderClient(running.address, max_message_bytes=max_message_bytes) as client,
    ):
        yield client


class CountedBackend(Double):
    """Gives a vector for every text without computing, when it is let; and counts the texts."""

    name = "torch"
    deterministic = False
    bucket_tokens = 0

    def __init__(self) -> None:
        self.texts = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        assert self.may_go_on.wait(20)
        self.texts += len(batch)
        return np.ones((len(batch), 384), np.float32)


async def test_a_stream_gives_what_single_calls_give_in_order(minilm: LoadedModel) -> None:
    texts = ["", "lone \ud800 one", "x" * 999_999, *(f"text number {number}" for number in range(150))]

    async def slowly() -> AsyncIterator[str]:
        for text in texts:
            await asyncio.sleep(0)
            yield text

    async with client_of(minilm) as client:
        expected = await client.embed(texts, Role.PASSAGE, model=MINILM, lane=Lane.BULK, timeout_s=60)
        for source in (texts, slowly()):
            found = [batch async for batch in client.embed_many(source, Role.PASSAGE, model=MINILM)]
            assert [len(batch.items) for batch in found] == [64, 64, 25]
            items = [item for batch in found for item in batch.items]
            assert [item.error for item in items] == [item.error for item in expected.items]
            assert items[2].error is not None
            assert items[2].error.startswith("the text has 999999 bytes")
            vectors = np.concatenate([batch.matrix for batch in found])
            np.testing.assert_allclose(vectors, expected.matrix, atol=1e-6)


async def test_a_source_is_read_only_a_few_batches_ahead(minilm: LoadedModel) -> None:
    taken, given = 0, 0

    def source() -> Iterator[str]:
        nonlocal taken
        for number in range(5_000):
            taken += 1
            yield f"number {number}"

    async with client_of(replace(minilm, backend=InThread(CountedBackend()))) as client:
        async for batch in client.embed_many(source(), Role.PASSAGE, model=MINILM):
            given += len(batch.items)
            assert taken - given <= 6 * 64
    assert taken == given == 5_000


async def test_a_busy_server_is_waited_for(minilm: LoadedModel) -> None:
    texts = [f"some words of text number {number}" for number in range(1_000)]
    async with client_of(replace(minilm, backend=InThread(CountedBackend())), max_queue_tokens=600) as client:
        found = [batch async for batch in client.embed_many(texts, Role.PASSAGE, model=MINILM)]
    assert sum(len(batch.items) for batch in found) == 1_000
    assert all(item.error is None for batch in found for item in batch.items)


async def test_who_stops_early_leaves_nothing_behind(minilm: LoadedModel) -> None:
    backend = CountedBackend()
    async with client_of(replace(minilm, backend=InThread(backend))) as client:
        async with aclosing(
            client.embed_many(("a" * n for n in range(1, 100_000)), Role.PASSAGE, model=MINILM)
        ) as many:
            await anext(many)
        assert await client.healthy()
    assert backend.texts < 10 * 64


async def test_refusals_end_a_stream_with_their_error(minilm: LoadedModel) -> None:
    async with client_of(minilm) as client:
        with pytest.raises(ModelNotFound):
            await anext(client.embed_many(["a"], Role.PASSAGE, model="no@1"))
        with pytest.raises(SpaceMismatch):
            await anext(client.embed_many(["a"], Role.PASSAGE, model=MINILM, expect_space="sha256:other"))


async def test_a_server_that_hangs_or_goes_ends_a_stream_in_time(minilm: LoadedModel) -> None:
    backend = CountedBackend()
    settings = EmbedderSettings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", drain_timeout_s=0)
    async with serving(settings, ready(replace(minilm, backend=InThread(backend)))) as running:
        client = await EmbedderClient(running.address).__aenter__()
        backend.may_go_on.clear()
        with pytest.raises(DeadlineExceeded):
            await anext(client.embed_many(["a"], Role.PASSAGE, model=MINILM, timeout_s=0.3))
        backend.may_go_on.set()
        stream = await client.open_stream(Role.PASSAGE, model=MINILM)
        await stream.send(["a"])
        await stream.receive()

    async def once_more() -> None:
        await stream.send(["b"])
        await stream.receive()

    with pytest.raises(EmbedderUnavailable):
        await once_more()
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("limits", "texts", "most"),
    [
        pytest.param({"max_texts": 7}, [f"text {n}" for n in range(20)], 7, id="texts of a request"),
        pytest.param(
            {"max_message_bytes": 20_000}, [f"{n} " + "word " * 800 for n in range(8)], 4, id="bytes of a request"
        ),
        pytest.param({"max_message_bytes": 20_000}, [f"text {n}" for n in range(20)], 9, id="bytes of the reply"),
    ],
)
async def test_what_a_server_with_small_limits_refuses_is_sent_again_in_parts(
    limits: dict[str, int], texts: list[str], most: int, minilm: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    embed = EmbeddingService.embed

    async def counting(self: EmbeddingService, request: Any, remaining_s: float | None = None) -> Any:
        asked.append(len(request.texts))
        return await embed(self, request, remaining_s)

    monkeypatch.setattr(EmbeddingService, "embed", counting)
    loaded = replace(minilm, backend=InThread(CountedBackend()))
    settings = EmbedderSettings(**{"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", **limits})
    async with serving(settings, ready(loaded)) as running, EmbedderClient(running.address) as client:
        found = await client.embed(texts, Role.PASSAGE, model=MINILM, lane=Lane.BULK, timeout_s=20)
        assert [item.row for item in found.items] == list(range(len(texts)))
        asked.clear()
        await client.encode(texts, Role.PASSAGE, model=MINILM)
        assert (max(asked), sum(asked)) == (most, len(texts))  # what it has learnt
        asked.clear()
        rows = sum([len(batch.matrix) async for batch in client.embed_many(texts, Role.PASSAGE, model=MINILM)])
        assert (max(asked), sum(asked), rows) == (most, len(texts), len(texts))


async def test_a_text_that_the_server_never_takes_fails_alone(minilm: LoadedModel) -> None:
    settings = EmbedderSettings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", max_message_bytes=10_000)
    async with serving(settings, ready(minilm)) as running, EmbedderClient(running.address) as client:
        found = await client.embed(["a", "b" * 20_000], Role.PASSAGE, model=MINILM, lane=Lane.BULK, timeout_s=20)
        assert found.items[0].row == 0
        assert re.fullmatch(r"the text has 20000 bytes; a message takes at most 7\d{3}", found.items[1].error or "")


async def test_encode_gives_one_row_per_text_or_raises(minilm: LoadedModel) -> None:
    async with client_of(minilm) as client:
        rows = await client.encode(np.array(["b", "a", "b"]), Role.QUERY, model=MINILM)
        assert rows.shape == (3, 384)
        np.testing.assert_array_equal(rows[0], rows[2])
        with pytest.raises(InvalidInput, match=r"texts\[1\]: the text is empty"):
            await client.encode(["a", ""], Role.QUERY, model=MINILM)


@pytest.fixture(scope="module")
def process(w8_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The ready line of `sidecar embedder` as a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
    ports = ("--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar.cli.main", "embedder", "--model", W8, *ports, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path_factory.mktemp("process"),
        env=environment | {"PYTHONPATH": str(ROOT), "SIDECAR_MODELS_DIR": str(w8_models)},
    ) as running:
        assert running.stdout is not None
        assert select.select([running.stdout], [], [], 60)[0]
        yield json.loads(running.stdout.readline())
        running.send_signal(signal.SIGTERM)


def test_the_client_without_an_event_loop(process: dict[str, Any]) -> None:
    threads: set[str] = set()

    def source() -> Iterator[str]:
        for number in range(200):
            threads.add(threading.current_thread().name)
            yield f"text {number}"

    with SyncEmbedderClient(process["embedder"]) as client:
        assert client.healthy()
        assert [served.version.id for served in client.models()] == [MINILM]
        found = list(client.embed_many(source(), Role.PASSAGE, model=MINILM))
        assert sum(len(batch.items) for batch in found) == 200
        assert client.embed(["", "a"], Role.QUERY, model=MINILM).items[0].error == "the text is empty"
        first = next(client.embed_many(source(), Role.PASSAGE, model=MINILM))  # and no more
        assert len(first.items) == 64
        with pytest.raises(ModelNotFound):
            client.encode(["a"], Role.QUERY, model="no@1")
    assert threads == {threading.current_thread().name}
    assert "embedder client" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("snippet", [pytest.param(code, id=str(number)) for number, code in enumerate(SNIPPETS)])
def test_what_the_documentation_shows_runs(snippet: str, process: dict[str, Any]) -> None:
    here = snippet.replace("127.0.0.1:50051", process["embedder"]).replace("127.0.0.1:8081", process["http"])
    exec(compile(here, PAGE.name, "exec"), {"__name__": "snippet"})
