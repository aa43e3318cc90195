"""What a caller gets from a server with its worker process: golden vectors, and the same bytes whatever stands beside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from sidecar.config import EmbedderSettings
from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding.loading.models import open_models, shipped_references
from sidecar.embedding.loading.selftest import cosines, probe_texts
from sidecar.embedding.server import serving
from sidecar.embedding.worker.supervisor import working
from sidecar.models.store import ModelStore

# With the other tests of 8-bit weights: they are built once.
pytestmark = pytest.mark.xdist_group("whole machine")

MINILM = "all-minilm-l6-v2@1"
COMPANIONS = [f"Companion {number} " + "of many lengths " * (number % 9) for number in range(31)]


@asynccontextmanager
async def embedder(models: Path, backend: str) -> AsyncIterator[Any]:
    opened = open_models([f"{MINILM}/{backend}"], ModelStore(models))
    settings = EmbedderSettings(listen="127.0.0.1:0", http_listen="127.0.0.1:0")
    async with (
        working(opened, 2) as worker,
        serving(settings, worker.loaded) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        yield embedding_pb2_grpc.EmbedderStub(channel)


async def computed(stub: Any, *texts: str) -> pb.EmbedReply:
    """Without the cache, which would make every answer the first one."""
    reply: pb.EmbedReply = await stub.Embed(
        pb.EmbedRequest(model=MINILM, texts=texts, cache=pb.CACHE_POLICY_BYPASS, normalize=False)
    )
    assert not any(item.cached for item in reply.items)
    return reply


def row(reply: pb.EmbedReply, position: int) -> bytes:
    size = reply.dimension * 4
    return reply.matrix[reply.items[position].row * size :][:size]


async def test_a_text_has_the_same_bytes_alone_among_others_and_after_a_restart(w8_models: Path) -> None:
    texts = ["short", "A sentence of a few words.", "a longer one " * 30, "beyond the limit " * 200]
    seen: dict[str, set[bytes]] = {text: set() for text in texts}
    for _ in range(2):
        async with embedder(w8_models, "openvino-w8") as stub:
            for number, text in enumerate(texts):
                alone = await computed(stub, text)
                assert alone.deterministic
                place = number * 10
                among = await computed(stub, *COMPANIONS[:place], text, *COMPANIONS[place:])
                seen[text] |= {row(alone, 0), row(among, place)}
    assert {text[:20]: len(vectors) for text, vectors in seen.items()} == {text[:20]: 1 for text in texts}


@pytest.mark.parametrize(
    ("backend", "least"), [pytest.param("torch", 0.99999, id="torch"), pytest.param("openvino-w8", 0.97, id="w8")]
)
async def test_vectors_are_those_of_the_model_in_float32(backend: str, least: float, w8_models: Path) -> None:
    version, _ = ModelStore(w8_models).open(MINILM)
    references = shipped_references(version)
    assert references is not None
    async with embedder(w8_models, backend) as stub:
        reply = await computed(stub, *probe_texts(version))
    found = np.frombuffer(reply.matrix, "<f4").reshape(-1, 384)
    assert reply.backend == backend
    assert cosines(found, references).min() >= least
