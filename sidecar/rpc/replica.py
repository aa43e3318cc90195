"""One replica: its connection, the calls that wait for it, and the probes that say whether it may be used."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2

from sidecar.errors import Conflict
from sidecar.rpc.addresses import Endpoint
from sidecar.rpc.breaker import PROBE_TIMEOUT_S, Breaker, Health
from sidecar.rpc.connections import Connection, Connector
from sidecar.rpc.failures import is_of_the_server
from sidecar.telemetry import EMBEDDER_REPLICA_OPEN, logger

T = TypeVar("T")

_log = logger("rpc.replica")


class ReplicaHangs(Exception):
    """The replica answered neither the call nor the probes."""


class Replica:
    """A server that gets calls. `tasks` owns the probes and the closing of old connections."""

    def __init__(self, target: Endpoint, connector: Connector, tasks: asyncio.TaskGroup) -> None:
        self.address = target.address
        self.cause = "it does not serve"  # or the message of its last failure
        self._target = target
        self._connector = connector
        self._tasks = tasks
        self._connection = connector.connect(target)
        self._connections = {self._connection}  # with those that old calls still use
        self._breaker = Breaker()
        self._was_used = False
        self._waiting: dict[asyncio.Timeout, float] = {}  # since when, the oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._is_probing = False
        self._is_retired = False
        self._is_closed = False
        self._now = asyncio.get_running_loop().time
        EMBEDDER_REPLICA_OPEN.labels(self.address).set(0)

    @property
    def is_usable(self) -> bool:
        """Whether it may get a call."""
        return not self._breaker.is_open

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection that is not closed."""
        return bool(self._connections)

    async def ask(self, call: Callable[[Connection, float], Awaitable[T]], left_s: float) -> T:
        """Make a call, given a connection and its time limit.

        Raises AioRpcError, and ReplicaHangs instead of waiting for a server that hangs.
        """
        connection = self.lease()
        try:
            async with self.waiting():
                answer = await call(connection, left_s)
        finally:
            self.release(connection)
        self.answered()
        return answer

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Wait for the server inside this context, so that a server that hangs is noticed. Raises as `ask`."""
        since, scope = self._now(), asyncio.timeout(None)
        try:
            async with scope:
                self._waiting[scope] = since
                self._plan()
                yield
        except TimeoutError as error:
            if scope.expired():
                raise ReplicaHangs from error
            raise
        except asyncio.CancelledError as error:
            if self._is_closed and not _is_cancelled():
                raise Conflict("the client was closed during the call") from error
            self._breaker.unanswered(since)
            raise
        except grpc.aio.AioRpcError as error:
            self._failed(error, since)
            raise
        finally:
            self._waiting.pop(scope, None)
            self._plan()

    def answered(self) -> None:
        """Note a sign of life."""
        self._was_used = True
        self._breaker.answered(self._now())

    def refused(self, cause: str) -> None:
        """Note that the server said it cannot serve. A probe follows."""
        self.cause = cause
        self._breaker.refused()
        self._plan()

    async def is_healthy(self, timeout_s: float) -> bool:
        """Whether the server says that it serves. If so, it is used again at once."""
        serves = await self._health(timeout_s) is Health.SERVING
        if serves:
            self._probed(Health.SERVING)
        return serves

    def lease(self) -> Connection:
        """The connection for a new call, until `release`. It is a new connection if the certificates have changed."""
        if self._connector.credentials() is not self._connection.credentials:
            old, self._connection = self._connection, self._connector.connect(self._target)
            self._connections.add(self._connection)
            self._close_if_unused(old)
        self._connection.take()
        return self._connection

    def release(self, connection: Connection) -> None:
        """End a lease."""
        connection.users -= 1
        self._close_if_unused(connection)

    def retire(self) -> None:
        """Stop probing, and close when the calls in flight have ended. No new calls will follow."""
        self._is_retired = True
        self._close_if_unused(self._connection)
        EMBEDDER_REPLICA_OPEN.remove(self.address)

    async def close(self) -> None:
        """Close all connections, which ends the calls in flight."""
        self._is_retired = self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        closing, self._connections = self._connections, set()
        for connection in closing:
            await connection.close()

    def _close_if_unused(self, connection: Connection) -> None:
        is_old = self._is_retired or connection is not self._connection
        if is_old and not connection.users and connection in self._connections:
            self._connections.remove(connection)
            self._tasks.create_task(connection.close(), name="close an old connection")

    def _failed(self, error: grpc.aio.AioRpcError, since: float) -> None:
        was_open = self._breaker.is_open
        match error.code():
            case grpc.StatusCode.UNAVAILABLE if is_of_the_server(error):
                self.refused(error.details() or "")
            case grpc.StatusCode.UNAVAILABLE:
                self.cause = error.details() or error.code().name
                self._breaker.lost(self._now())
            case grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED | grpc.StatusCode.INTERNAL:
                self.cause = error.details() or error.code().name
                self._breaker.unanswered(since)
            case _:
                self.cause = error.details() or error.code().name
                self.answered()
        self._changed(was_open)

    def _plan(self) -> None:
        """Set the timer for the next probe, if one is due. Called after everything that may change that."""
        if self._is_probing or not self.is_connected or (self._is_retired and not self._waiting):
            return
        due = self._breaker.next_probe(next(iter(self._waiting.values()), None))
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(max(due, self._now()), self._look)

    def _look(self) -> None:
        self._timer = None
        due = self._breaker.next_probe(next(iter(self._waiting.values()), None))
        if due is not None and due <= self._now():
            self._is_probing = True
            self._tasks.create_task(self._probe(), name=f"probe {self.address}")
        else:  # the plan has changed since the timer was set
            self._plan()

    async def _probe(self) -> None:
        try:
            found = await self._health(PROBE_TIMEOUT_S)
        finally:
            self._is_probing = False
        if self.is_connected:  # it may have been closed meanwhile
            self._probed(found)

    async def _health(self, timeout_s: float) -> Health:
        connection = self.lease()
        try:
            reply = await connection.health.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return Health.SILENT
            self.cause = error.details() or error.code().name
            return Health.REFUSES
        finally:
            self.release(connection)
        return Health.SERVING if reply.status == health_pb2.HealthCheckResponse.SERVING else Health.REFUSES

    def _probed(self, found: Health) -> None:
        was_open = self._breaker.is_open
        self._breaker.probed(found, self._now())
        if self._breaker.hangs:
            self.cause = "it does not answer any more"
            ended, self._waiting = self._waiting, {}
            for scope in ended:
                scope.reschedule(self._now())
        self._changed(was_open)
        self._plan()

    def _changed(self, was_open: bool) -> None:
        is_open = self._breaker.is_open
        if is_open == was_open:
            return
        if not self._is_retired:
            EMBEDDER_REPLICA_OPEN.labels(self.address).set(int(is_open))
        if not self._was_used:  # a command that finds no server says so itself
            return
        if is_open:
            _log.warning("not used any more", action="replica_lost", replica=self.address, cause=self.cause)
        else:
            _log.info("used again", action="replica_found", replica=self.address)


def _is_cancelled() -> bool:
    """Whether somebody cancels this task. Otherwise it is gRPC that ends a call of a closed channel."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
