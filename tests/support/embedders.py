"""Doubles of the embedder, only for what the real one cannot be made to do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.errors import SidecarError
from sidecar.model import ModelVersion, Role
from sidecar.ports import EmbeddedText, Embeddings, Lane, ServedModel


@dataclass
class HashEmbedder:
    """Vectors that are a function of the text and mean nothing. Fails with `failure` while there is one."""

    version: ModelVersion
    failure: SidecarError | None = None
    refuses: frozenset[str] = frozenset()  # texts that get an error of their own
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        self.asked.append(tuple(texts))
        if self.failure is not None:
            raise self.failure
        rows = [self.vector(text) for text in texts]
        items = tuple(
            EmbeddedText(-1, error="refused") if text in self.refuses else EmbeddedText(row, tokens=len(text))
            for row, text in enumerate(texts)
        )
        return Embeddings(model, self.version.space, "hash", np.stack(rows), items)

    async def models(self) -> tuple[ServedModel, ...]:
        if self.failure is not None:
            raise self.failure
        return (ServedModel(self.version, "hash"),)

    def vector(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:8], "little")
        vector = np.random.default_rng(seed).standard_normal(self.version.dimension).astype(np.float32)
        return vector / np.linalg.norm(vector)


Reply = Callable[[pb.EmbedRequest], pb.EmbedReply]


class StubServer(embedding_pb2_grpc.EmbedderServicer):
    """The embedding server's end of the wire, with the vectors of a HashEmbedder; `reply` may break the contract."""

    def __init__(self, version: ModelVersion) -> None:
        self.reply: Reply = self.honest
        self.status: grpc.StatusCode | None = None  # refuses every call with it
        self.asked: list[tuple[str, ...]] = []
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.hashes = HashEmbedder(version)

    def honest(self, request: pb.EmbedRequest) -> pb.EmbedReply:
        version = self.hashes.version
        return pb.EmbedReply(
            model=version.id,
            space=version.space,
            backend="hash",
            dimension=version.dimension,
            encoding=pb.ENCODING_FLOAT32,
            matrix=b"".join(self.hashes.vector(text).tobytes() for text in request.texts),
            items=[pb.Item(row=row, tokens=len(text)) for row, text in enumerate(request.texts)],
        )

    async def Embed(  # noqa: N802 - gRPC's name
        self, request: pb.EmbedRequest, context: grpc.aio.ServicerContext
    ) -> pb.EmbedReply:
        self.asked.append(tuple(request.texts))
        self.was_asked.set()
        await self.may_answer.wait()
        if self.status is not None:
            await context.abort(self.status, "because the test wants it")
        return self.reply(request)


@asynccontextmanager
async def serving_stub(
    stub: StubServer, address: str = "127.0.0.1:0", *, max_message_bytes: int = -1
) -> AsyncIterator[str]:
    """Where the stub answers, as `host:port`; it says that it is healthy."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", max_message_bytes)])
    embedding_pb2_grpc.add_EmbedderServicer_to_server(stub, server)
    healthy = health.aio.HealthServicer()  # type: ignore[attr-defined]
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield f"{address.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(grace=None)
