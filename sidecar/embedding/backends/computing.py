"""Computes a batch so that one bad text fails alone, and describes a model as the queue sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import Backend


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The vectors and failures of the texts of a batch."""

    pooled: NDArray[np.float32]  # one row a text. The row of a failed text means nothing
    failures: Mapping[int, str] = field(default_factory=dict)  # row -> the error that the back end raised


class WorkerLost(Exception):
    """The process that computes ended while it had the batch in work. Nothing is known of its texts."""


class Computing(Protocol):
    """One loaded model version, in this process or in another."""

    @property
    def name(self) -> str:
        """The name of the back end."""
        ...

    @property
    def deterministic(self) -> bool: ...

    @property
    def bucket_tokens(self) -> int: ...

    @property
    def batch_tokens(self) -> int: ...

    @property
    def streams(self) -> int:
        """How many batches may be in work at once."""
        ...

    async def usable(self) -> None:
        """Wait until it can take a batch."""
        ...

    async def compute(self, batch: Sequence[NDArray[np.int32]]) -> BatchResult:
        """One pooled vector or one failure a text. Raises WorkerLost."""
        ...


def compute_each(backend: Backend, batch: Sequence[NDArray[np.int32]]) -> BatchResult:
    """Compute a batch. If that fails, compute its halves, down to the text that fails, for lack of memory for example.

    A vector with NaN or infinity is computed again with every value in float32, if the back end can do better by that.
    The caller checks the second result.
    """
    try:
        pooled = backend.compute(batch)
    except Exception as error:  # noqa: BLE001 - a library may raise anything, and the other texts get their vectors
        if len(batch) == 1:
            return BatchResult(np.zeros((1, 0), np.float32), {0: f"{type(error).__name__}: {error}"})
        middle = len(batch) // 2
        return _joined(compute_each(backend, batch[:middle]), compute_each(backend, batch[middle:]))
    unusable = np.flatnonzero(~np.isfinite(pooled).all(axis=1)).tolist()
    if unusable:
        pooled = pooled.copy()  # a back end may hand out its own memory
        for row in unusable:
            if (again := backend.compute_in_float32(batch[row])) is not None:
                pooled[row] = again
    return BatchResult(pooled)


def _joined(first: BatchResult, second: BatchResult) -> BatchResult:
    dimension = max(first.pooled.shape[1], second.pooled.shape[1])
    rows = len(first.pooled)
    pooled = np.zeros((rows + len(second.pooled), dimension), np.float32)
    for part, start in ((first, 0), (second, rows)):
        pooled[start : start + len(part.pooled), : part.pooled.shape[1]] = part.pooled
    return BatchResult(pooled, {**first.failures, **{rows + row: why for row, why in second.failures.items()}})
