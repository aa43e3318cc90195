"""All replicas of the embedding server, in rotation: whose turn it is, and when another one is asked again."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import grpc

from sidecar.errors import Conflict, EmbedderOverloaded, EmbedderUnavailable
from sidecar.rpc.addresses import Endpoint, is_name, resolve
from sidecar.rpc.connections import Connection, Connector
from sidecar.rpc.failures import is_lost, translate
from sidecar.rpc.replica import Replica, ReplicaHangs

_LOOKUP_TIMEOUT_S: Final = 5.0
_LOOKUP_EVERY_S: Final = 30.0
_LOOKUP_AFTER_FAILURE_S: Final = 1.0

T = TypeVar("T")


class Rotation:
    """Spreads calls over the servers at some addresses, round robin. An async context manager."""

    def __init__(self, addresses: Sequence[str], connector: Connector) -> None:
        self.address = ", ".join(addresses)  # for messages
        self._addresses = addresses
        self._connector = connector
        self._replicas: dict[Endpoint, Replica] = {}
        self._retired: list[Replica] = []  # no name has them any more, but calls are in flight there
        self._turn = -1  # of the replica that got the last call
        self._found: dict[str, tuple[Endpoint, ...]] = {}
        self._not_found: dict[str, str] = {}  # address -> why it has no servers
        self._has_names = any(is_name(address) for address in addresses)
        self._lookup: asyncio.Task[None] | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        """Look the names up. A name that cannot be found is looked up again later."""
        self._now = asyncio.get_running_loop().time
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        await self._look_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        if self._lookup is not None:
            self._lookup.cancel()
        for replica in (*self._replicas.values(), *self._retired):
            await replica.close()
        # The group does not get the error: it is the caller's, and the group would raise it again, wrapped.
        await self._tasks.__aexit__(None, None, None)

    async def ask(
        self,
        call: Callable[[Connection, float], Awaitable[T]],
        *,
        timeout_s: float,
        deadline: float | None = None,
        model: str = "",
        expect_space: str = "",
    ) -> T:
        """Make a call to one replica after the other, until one answers. It gets a connection and the seconds left.

        Embedding changes nothing, so a call that got no answer may be made again elsewhere. Any other refusal is an
        answer. Raises as `EmbedderClient.embed`.
        """
        deadline = self._now() + timeout_s if deadline is None else deadline
        tried: set[Replica] = set()
        busy: EmbedderOverloaded | None = None
        while (replica := self.next(tried)) is not None:
            tried.add(replica)
            try:
                return await replica.ask(call, max(deadline - self._now(), 0.0))
            except ReplicaHangs:
                continue
            except grpc.aio.AioRpcError as error:
                if is_lost(error.code()):
                    continue
                refusal = translate(
                    error, address=replica.address, model=model, expect_space=expect_space, timeout_s=timeout_s
                )
                if busy is not None or not isinstance(refusal, EmbedderOverloaded):
                    raise refusal from error
                busy = refusal  # one other may have room, but to ask all would only spread an overload
        raise busy or self.nobody()

    def next(self, tried: Collection[Replica] = ()) -> Replica | None:
        """The usable replica whose turn it is. Raises Conflict when the client is closed."""
        if self._is_closed:
            raise Conflict("the client is closed")
        self._look_up_if_due()
        replicas = list(self._replicas.values())
        for _ in replicas:
            self._turn = (self._turn + 1) % len(replicas)
            replica = replicas[self._turn]
            if replica.is_usable and replica not in tried:
                return replica
        return None

    def nobody(self) -> EmbedderUnavailable:
        """The error that no replica can be used, with the cause for each."""
        causes = [*self._not_found.values(), *(replica.cause for replica in self._replicas.values())]
        return EmbedderUnavailable(self.address, "; ".join(dict.fromkeys(causes)))

    async def are_healthy(self, timeout_s: float) -> bool:
        """Whether at least one replica says that it serves."""
        checks = [replica.is_healthy(timeout_s) for replica in self._replicas.values()]
        return any(await asyncio.gather(*checks))

    def _look_up_if_due(self) -> None:
        """Look the names up again from time to time, and when a server may have moved. Calls do not wait for it."""
        if not self._has_names or (self._lookup is not None and not self._lookup.done()):
            return
        all_well = not self._not_found and all(replica.is_usable for replica in self._replicas.values())
        if self._now() - self._looked_up_at >= (_LOOKUP_EVERY_S if all_well else _LOOKUP_AFTER_FAILURE_S):
            self._lookup = self._tasks.create_task(self._look_up(), name="look up the embedder's addresses")

    async def _look_up(self) -> None:
        for address in self._addresses:
            try:
                async with asyncio.timeout(_LOOKUP_TIMEOUT_S):
                    self._found[address] = await resolve(address)
                self._not_found.pop(address, None)
            except OSError as error:  # including a timeout. The servers that were found before stay
                self._not_found[address] = f"{address} cannot be looked up: {error}"
        self._looked_up_at = self._now()
        self._replace(tuple(target for found in self._found.values() for target in found))

    def _replace(self, targets: Sequence[Endpoint]) -> None:
        gone = [self._replicas.pop(target) for target in self._replicas.keys() - set(targets)]
        for replica in gone:
            replica.retire()
        self._retired = [replica for replica in (*self._retired, *gone) if replica.is_connected]
        for target in targets:
            if target not in self._replicas:
                self._replicas[target] = Replica(target, self._connector, self._tasks)
