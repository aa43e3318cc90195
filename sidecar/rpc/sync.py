"""The client for programs without an event loop. It makes the same calls on a loop in its own thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sidecar.model import Role
from sidecar.ports import Embeddings, Lane, ServedModel
from sidecar.rpc.client import EmbedderClient
from sidecar.rpc.streaming import batches

_TIMEOUT_S: Final = 60.0

T = TypeVar("T")


class SyncEmbedderClient:
    """Calls the embedding server from ordinary code. A context manager, which several threads may use."""

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        token: str | Callable[[], str] = "",
        tls_ca: Path | None = None,
        tls_certificate: Path | None = None,
        tls_key: Path | None = None,
    ) -> None:
        """As `EmbedderClient`."""
        self._client = EmbedderClient(
            address, token=token, tls_ca=tls_ca, tls_certificate=tls_certificate, tls_key=tls_key
        )

    def __enter__(self) -> Self:
        """Start the thread and open the channel. Raises ConfigurationError."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedder client", daemon=True)
        self._thread.start()
        try:
            self._wait(self._client.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._wait(self._client.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def embed(
        self,
        texts: Sequence[str],
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
        self, texts: Sequence[str], role: Role, *, model: str, lane: Lane = Lane.BULK, timeout_s: float = _TIMEOUT_S
    ) -> NDArray[np.float32]:
        """As `EmbedderClient.encode`."""
        return self._wait(self._client.encode(texts, role, model=model, lane=lane, timeout_s=timeout_s))

    def embed_many(
        self, texts: Iterable[str], role: Role, *, model: str, expect_space: str = "", timeout_s: float = _TIMEOUT_S
    ) -> Iterator[Embeddings]:
        """As `EmbedderClient.embed_many`. The texts are read from their source in the caller's own thread."""
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
            if not self._loop.is_closed():  # an iterator may outlive its client
                self._loop.call_soon_threadsafe(stream.close)

    def models(self) -> tuple[ServedModel, ...]:
        """As `EmbedderClient.models`."""
        return self._wait(self._client.models())

    def healthy(self) -> bool:
        """As `EmbedderClient.healthy`."""
        return self._wait(self._client.healthy())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # an interrupt ends the wait and the call
            future.cancel()
            raise

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
