"""Random faults on both sides of a bridge, one after the other, as a seed says."""

import asyncio
import random
from collections.abc import Callable

import grpc
import numpy as np

from sidecar.rpc.pb import embedding_pb2 as pb
from tests.support.between import Between
from tests.support.faults import FaultProxy, Faults

_STATUSES = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)


class Chaos:
    """Does harm until it is cancelled, and then heals everything; `log` holds what was done."""

    def __init__(self, at: Between, rng: random.Random) -> None:
        self.log: list[str] = []
        self._at = at
        self._rng = rng

    async def run(self) -> None:
        try:
            while True:
                await self._harm()
                await asyncio.sleep(self._rng.uniform(0.01, 0.06))
                await self.heal()
                await asyncio.sleep(self._rng.uniform(0.0, 0.06))
        finally:
            await self.heal()

    async def heal(self) -> None:
        for proxy in (self._at.to_node, self._at.to_embedder):
            proxy.set()
            await proxy.listen()
        self._at.stub.status, self._at.stub.reply = None, self._at.stub.honest

    async def _harm(self) -> None:
        harm = self._rng.choice((self._on_the_way, self._on_the_way, self._refuse, self._status, self._reply))
        self.log.append(harm())

    def _proxy(self) -> tuple[str, FaultProxy]:
        name = self._rng.choice(("to_node", "to_node", "to_embedder"))
        return name, getattr(self._at, name)

    def _on_the_way(self) -> str:
        name, proxy = self._proxy()
        count = self._rng.choice((0, 0, self._rng.randint(1, 500), self._rng.randint(500, 50_000)))
        faults = self._rng.choice(
            (
                Faults(latency_s=0.02),
                Faults(bytes_per_s=200_000, slice_bytes=4_096),
                Faults(slice_bytes=self._rng.randint(1, 50)),
                Faults(stall_after=count),
                Faults(limit_data=count),
                Faults(reset_peer=count),
                Faults(slow_close_s=0.05, limit_data=count),
            )
        )
        way = self._rng.choice(("to_server", "to_client"))
        proxy.set(**{way: faults})
        return f"{name} {way} {faults}"

    def _refuse(self) -> str:
        name, proxy = self._proxy()
        proxy.refuse()
        return f"{name} refuses"

    def _status(self) -> str:
        self._at.stub.status = self._rng.choice(_STATUSES)
        return f"embedder answers {self._at.stub.status}"

    def _reply(self) -> str:
        change = self._rng.choice((_one_item_less, _not_a_number, _another_space, _one_error))
        self._at.stub.reply = _changed(self._at.stub.honest, change)
        return f"embedder's reply: {change.__name__}"


def _changed(
    honest: Callable[[pb.EmbedRequest], pb.EmbedReply], change: Callable[[pb.EmbedReply], None]
) -> Callable[[pb.EmbedRequest], pb.EmbedReply]:
    def reply(request: pb.EmbedRequest) -> pb.EmbedReply:
        answer = honest(request)
        change(answer)
        return answer

    return reply


def _one_item_less(reply: pb.EmbedReply) -> None:
    del reply.items[-1]


def _not_a_number(reply: pb.EmbedReply) -> None:
    reply.matrix = np.float32("nan").tobytes() + reply.matrix[4:]


def _another_space(reply: pb.EmbedReply) -> None:
    reply.space = "sha256:" + "0" * 64


def _one_error(reply: pb.EmbedReply) -> None:
    reply.items[0].CopyFrom(pb.Item(row=-1, error=pb.ItemError(code=13, message="poison")))
