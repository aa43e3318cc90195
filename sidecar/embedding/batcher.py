"""The queue before one model: texts wait in two lanes, batches are formed while the one before is computed."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import Backend
from sidecar.embedding.batching import choose_batch, choose_lane, padding_tokens
from sidecar.errors import EmbedderOverloaded
from sidecar.ports import Lane
from sidecar.telemetry import EMBEDDER_SECONDS, EMBEDDER_TOKENS, logger

_WINDOW: Final = 1_024  # texts among which lengths are compared; sorting them takes less than a millisecond
_SHORTEST_RETRY_S: Final = 0.05
_LONGEST_RETRY_S: Final = 30.0

_log = logger("embedding.batcher")


@dataclass(frozen=True, slots=True)
class Computed:
    """What became of the texts of one call."""

    pooled: NDArray[np.float32]  # one row a text; the row of a failed text means nothing
    failures: dict[int, str]  # row -> why there is no vector
    queue_s: float  # until the first of its texts was taken
    compute_s: float  # of the batches that it took part in
    padding_tokens: int  # of the same batches


@dataclass(eq=False, slots=True)
class _Call:
    pooled: NDArray[np.float32]
    lane: Lane
    done: asyncio.Future[None]
    enqueued: float
    missing: int
    started: float | None = None
    failures: dict[int, str] = field(default_factory=dict)
    compute_s: float = 0.0
    padding_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    call: _Call
    row: int
    ids: NDArray[np.int32]


class Batcher:
    """Computes texts on one back end; `run` must be running."""

    def __init__(
        self,
        backend: Backend,
        *,
        model: str,
        dimension: int,
        worker: Executor,
        max_batch_tokens: int,
        max_queue_tokens: int,
    ) -> None:
        self._backend = backend
        self._model = model
        self._dimension = dimension
        self._worker = worker
        self._max_batch_tokens = max_batch_tokens
        self._max_queue_tokens = max_queue_tokens
        # By number of arrival: in order, and one that is cancelled leaves at once, wherever it stands.
        self._lanes: dict[Lane, dict[int, _Waiting]] = {lane: {} for lane in Lane}
        self._arrivals = 0
        self._queued_tokens = 0
        self._interactive_in_a_row = 0
        self._tokens_per_s: float | None = None
        self._something_waits = asyncio.Event()

    @property
    def queued_tokens(self) -> int:
        """Tokens that wait; those of the batch in work no longer count."""
        return self._queued_tokens

    async def compute(self, texts: Sequence[NDArray[np.int32]], lane: Lane) -> Computed:
        """Wait for the vectors of these texts (token ids). Cancelled, it takes out of the queue what still waits.

        Raises EmbedderOverloaded if the queue is full; an empty one takes any call.
        """
        tokens = sum(len(ids) for ids in texts)
        if self._queued_tokens and self._queued_tokens + tokens > self._max_queue_tokens:
            raise EmbedderOverloaded(self._retry_after_s())
        call = _Call(
            pooled=np.zeros((len(texts), self._dimension), dtype=np.float32),
            lane=lane,
            done=asyncio.get_running_loop().create_future(),
            enqueued=perf_counter(),
            missing=len(texts),
        )
        first = self._arrivals
        self._arrivals += len(texts)
        self._lanes[lane].update((first + row, _Waiting(call, row, ids)) for row, ids in enumerate(texts))
        self._queued_tokens += tokens
        self._something_waits.set()
        try:
            await call.done
        finally:
            for number in range(first, first + len(texts)):
                self._remove(lane, number)
        return self._finished(call)

    async def run(self) -> None:
        """Compute batch after batch until cancelled. An error of the back end fails the texts of its batch only."""
        while True:
            await self._something_waits.wait()
            batch = self._take()
            if batch:
                await self._run_batch(batch)

    def _take(self) -> list[_Waiting]:
        lane = choose_lane(
            interactive=bool(self._lanes[Lane.INTERACTIVE]),
            bulk=bool(self._lanes[Lane.BULK]),
            interactive_in_a_row=self._interactive_in_a_row,
        )
        if lane is None:
            self._something_waits.clear()
            return []
        self._interactive_in_a_row = self._interactive_in_a_row + 1 if lane is Lane.INTERACTIVE else 0
        window = list(islice(self._lanes[lane].items(), _WINDOW))
        positions = choose_batch([len(waiting.ids) for _, waiting in window], self._max_batch_tokens)
        for position in positions:
            self._remove(lane, window[position][0])
        return [window[position][1] for position in positions]

    def _remove(self, lane: Lane, number: int) -> None:
        waiting = self._lanes[lane].pop(number, None)
        if waiting is not None:
            self._queued_tokens -= len(waiting.ids)

    async def _run_batch(self, batch: Sequence[_Waiting]) -> None:
        started = perf_counter()
        failure = None
        pooled = None
        try:
            pooled = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._compute, [waiting.ids for waiting in batch]
            )
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the server goes on
            _log.exception("a batch failed", action="batch_failed", model=self._model, texts=len(batch))
            failure = f"the back end failed on the batch of this text: {type(error).__name__}"
        seconds = perf_counter() - started
        lengths = [len(waiting.ids) for waiting in batch]
        self._measure(sum(lengths), padding_tokens(lengths), seconds)
        for call in {id(waiting.call): waiting.call for waiting in batch}.values():
            call.started = call.started or started
            call.compute_s += seconds
            call.padding_tokens += padding_tokens(lengths)
        for position, waiting in enumerate(batch):
            _deliver(waiting, None if pooled is None else pooled[position], failure)

    def _compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        pooled = self._backend.compute(batch)
        if pooled.shape != (len(batch), self._dimension):
            raise ValueError(f"the back end gave a matrix of {pooled.shape} for {len(batch)} texts")
        return pooled

    def _measure(self, tokens: int, padding: int, seconds: float) -> None:
        EMBEDDER_TOKENS.labels(self._model, "computed").inc(tokens)
        EMBEDDER_TOKENS.labels(self._model, "padding").inc(padding)
        rate = tokens / seconds
        self._tokens_per_s = rate if self._tokens_per_s is None else 0.8 * self._tokens_per_s + 0.2 * rate

    def _retry_after_s(self) -> float:
        if self._tokens_per_s is None:
            return 1.0
        return min(max(self._queued_tokens / self._tokens_per_s, _SHORTEST_RETRY_S), _LONGEST_RETRY_S)

    def _finished(self, call: _Call) -> Computed:
        queue_s = (call.started or call.enqueued) - call.enqueued
        EMBEDDER_SECONDS.labels(self._model, call.lane, "queue").observe(queue_s)
        EMBEDDER_SECONDS.labels(self._model, call.lane, "compute").observe(call.compute_s)
        return Computed(call.pooled, call.failures, queue_s, call.compute_s, call.padding_tokens)


def _deliver(waiting: _Waiting, vector: NDArray[np.float32] | None, failure: str | None) -> None:
    call = waiting.call
    if vector is None:
        call.failures[waiting.row] = failure or ""
    else:
        call.pooled[waiting.row] = vector
    call.missing -= 1
    if call.missing == 0 and not call.done.done():  # it is done if its caller has gone
        call.done.set_result(None)
