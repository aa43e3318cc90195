"""The client for programs without an event loop. It makes the same calls on a loop in its own thread."""

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sidecar.errors import Conflict
from sidecar.model import Role
from sidecar.ports import Embeddings, Lane, ServedModel
from sidecar.rpc import forks
from sidecar.rpc.arguments import check_source
from sidecar.rpc.client import EmbedderClient
from sidecar.rpc.streaming import BulkStream, batches

_TIMEOUT_S: Final = 60.0

T = TypeVar("T")


class SyncEmbedderClient:
    """Calls the embedding server from ordinary code. Several threads may use it.

    A context manager. Without `with`, the first call opens it, and `close` or the end of the process closes it. A
    forked child may use its copy, too.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        token: str | Callable[[], str] = "",
        tls_ca: Path | str | None = None,
        tls_certificate: Path | str | None = None,
        tls_key: Path | str | None = None,
    ) -> None:
        """As `EmbedderClient`."""
        self._client = EmbedderClient(
            address, token=token, tls_ca=tls_ca, tls_certificate=tls_certificate, tls_key=tls_key
        )
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._is_closed = False
        forks.keep(self, SyncEmbedderClient._forget)

    def __enter__(self) -> Self:
        """Start the thread and get ready to connect. Raises ConfigurationError."""
        with self._lock:
            self._is_closed = False
            self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. This ends the calls in work, and later calls raise Conflict."""
        with self._lock:
            self._is_closed = True
            running, self._running = self._running, None
        if running is not None:
            running.end()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        if self._running is not None:
            self._running.abandon()
            self._running = None

    def embed(
        self,
        texts: Iterable[str],
        role: Role,
        *,
        model: str,
        expect_space: str = "",
        lane: Lane = Lane.BULK,
        timeout_s: float = _TIMEOUT_S,
    ) -> Embeddings:
        """As `EmbedderClient.embed`."""
        return self._wait(
            self._client.embed(texts, role, model=model, expect_space=expect_space, lane=lane, timeout_s=timeout_s)
        )

    def encode(
        self, texts: Iterable[str], role: Role, *, model: str, lane: Lane = Lane.BULK, timeout_s: float = _TIMEOUT_S
    ) -> NDArray[np.float32]:
        """As `EmbedderClient.encode`."""
        return self._wait(self._client.encode(texts, role, model=model, lane=lane, timeout_s=timeout_s))

    def embed_many(
        self, texts: Iterable[str], role: Role, *, model: str, expect_space: str = "", timeout_s: float = _TIMEOUT_S
    ) -> Iterator[Embeddings]:
        """As `EmbedderClient.embed_many`. The texts are read from their source in the caller's own thread."""
        check_source(texts)
        stream = self._wait(self._client.open_stream(role, model=model, expect_space=expect_space, timeout_s=timeout_s))
        try:
            source = batches(texts, stream.limits)
            waiting = next(source, None)
            while waiting is not None or stream.in_work:
                if waiting is not None and stream.has_room(waiting):
                    self._wait(stream.send(waiting))
                    waiting = next(source, None)
                else:
                    yield self._wait(stream.receive())
        finally:
            with suppress(Conflict):  # an iterator may outlive its client
                self._wait(_close(stream))

    def models(self) -> tuple[ServedModel, ...]:
        """As `EmbedderClient.models`."""
        return self._wait(self._client.models())

    def healthy(self) -> bool:
        """As `EmbedderClient.healthy`."""
        return self._wait(self._client.healthy())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            try:
                loop = self._opened().loop
            except BaseException:
                work.close()
                raise
            future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except CancelledError:
            raise Conflict("the client was closed during the call") from None
        except BaseException:  # an interrupt ends the wait and the call
            future.cancel()
            raise

    def _opened(self) -> "_Running":
        if self._is_closed:
            raise Conflict("the client is closed")
        if self._running is None:
            self._running = _Running(self._client, self)
        return self._running


class _Running:
    """The thread of an open client, with its event loop. It ends with its owner, or with the process."""

    def __init__(self, client: EmbedderClient, owner: object) -> None:
        """Raises ConfigurationError."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="embedder client", daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(owner, self._stop)
        try:
            asyncio.run_coroutine_threadsafe(client.__aenter__(), self.loop).result()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the calls in work, close the client and wait for the thread."""
        self._finalizer()

    def abandon(self) -> None:
        """Leave it to the parent of this process."""
        self._finalizer.detach()
        forks.abandon(self)

    def _stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        if threading.current_thread() is not self._thread:  # the owner may be collected in any thread
            self._thread.join()

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.run_until_complete(_cancel_all())
        self.loop.close()


async def _close(stream: BulkStream) -> None:
    stream.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
