"""Models that compute in this process, where a test can reach into them; in production a worker process does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import Backend, load_backend
from sidecar.embedding.backends.computing import BatchResult, compute_each
from sidecar.embedding.loading.cpus import available_cpus
from sidecar.embedding.loading.models import LoadedModel, open_models
from sidecar.models.store import ModelStore


class Double:
    """Base of doubles of a back end: they have nothing more exact to offer."""

    batch_tokens = 0

    def compute_in_float32(self, ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        return None


class InThread:
    """A back end behind one thread; implements `Computing`."""

    streams = 1

    def __init__(self, backend: Backend, name: str = "torch") -> None:
        self.backend = backend
        self.name = name
        self.deterministic = backend.deterministic
        self.bucket_tokens = backend.bucket_tokens
        self.batch_tokens = backend.batch_tokens
        self._thread = ThreadPoolExecutor(1)

    async def usable(self) -> None:
        return

    async def compute(self, batch: Sequence[NDArray[np.int32]]) -> BatchResult:
        return await asyncio.get_running_loop().run_in_executor(self._thread, compute_each, self.backend, batch)


class OneAtATime:
    """A back end that many tests share: what one of them left computing in its thread does not meet the next."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = Lock()
        self.deterministic = backend.deterministic
        self.bucket_tokens = backend.bucket_tokens
        self.batch_tokens = backend.batch_tokens

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        with self._lock:
            return self._backend.compute(batch)

    def compute_in_float32(self, ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        with self._lock:
            return self._backend.compute_in_float32(ids)


def load_here(spec: str, store: ModelStore) -> LoadedModel:
    """One model, loaded into this process."""
    (opened,) = open_models([spec], store)
    options = {"max_tokens": opened.version.max_tokens, "pad_id": opened.pad_id, "threads": available_cpus()}
    backend, *_ = load_backend(opened.backend, opened.folder, **options)
    return LoadedModel(opened.version, InThread(backend, opened.backend), opened.tokenizer, opened.build)


def backend_of(model: LoadedModel) -> Any:
    """What computes a model that `load_here` has loaded."""
    assert isinstance(model.backend, InThread)
    return model.backend.backend


def ready(*models: LoadedModel) -> Callable[[Callable[[bool], None]], Awaitable[Sequence[LoadedModel]]]:
    """What `serving` waits for, when the models are there already."""

    async def load(_tell: Callable[[bool], None]) -> Sequence[LoadedModel]:
        return models

    return load
