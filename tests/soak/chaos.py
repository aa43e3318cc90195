"""Random faults on both sides of a bridge, one after the other, as a seed says."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import TypeAlias

import grpc
import numpy as np

from sidecar.contract import embedding_pb2 as pb
from tests.support.between import Between
from tests.support.faults import FaultProxy, Faults

Harm: TypeAlias = tuple[str, asyncio.Event]  # what was done, and what is set when somebody has met it

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
                await self.heal()
                await self._at.embedder.healthy()  # so that it is used again: what is pending shows no wrong vector
                await asyncio.sleep(self._rng.uniform(0.0, 0.03))
        finally:
            await self.heal()

    async def heal(self) -> None:
        for proxy in (self._at.to_node, self._at.to_embedder):
            proxy.set()
            await proxy.listen()
        self._at.stub.status, self._at.stub.reply = None, self._at.stub.honest

    async def _harm(self) -> None:
        """Do one harm, and leave it until somebody has met it and some time after."""
        harm = self._rng.choice(
            (
                self._on_the_way,
                self._on_the_way,
                self._lose_answers,
                self._lose_answers,
                self._refuse,
                self._status,
                self._reply,
                self._reply,
            )
        )
        what, is_met = harm()
        self.log.append(what)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._rng.uniform(0.01, 0.2)):
                await is_met.wait()
        await asyncio.sleep(self._rng.uniform(0.0, 0.05))

    def _proxy(self) -> tuple[str, FaultProxy]:
        name = self._rng.choice(("to_node", "to_node", "to_embedder"))
        return name, getattr(self._at, name)

    def _on_the_way(self) -> Harm:
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
        return f"{name} {way} {faults}", proxy.struck

    def _lose_answers(self) -> Harm:
        """The cluster does what it is told, and nobody hears of it: what is sent again is done twice."""
        faults = self._rng.choice((Faults(limit_data=0), Faults(reset_peer=0)))
        self._at.to_node.set(to_client=faults)
        return f"to_node loses answers {faults}", self._at.to_node.struck

    def _refuse(self) -> Harm:
        name, proxy = self._proxy()
        proxy.refuse()
        return f"{name} refuses", asyncio.Event()  # nobody says that he was turned away

    def _status(self) -> Harm:
        self._at.stub.status = self._rng.choice(_STATUSES)
        self._at.stub.was_asked.clear()
        return f"embedder answers {self._at.stub.status}", self._at.stub.was_asked

    def _reply(self) -> Harm:
        change = self._rng.choice((_one_item_less, _not_a_number, _another_space, _one_error, _one_error))
        self._at.stub.reply = _changed(self._at.stub.honest, change)
        self._at.stub.was_asked.clear()
        return f"embedder's reply: {change.__name__}", self._at.stub.was_asked


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
