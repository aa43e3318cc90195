"""The queue before one model. Texts wait in two lanes, and batches are formed while earlier ones are computed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends.computing import BatchResult, Computing, WorkerLost
from sidecar.embedding.batching import (
    BULK_SHARE,
    Rate,
    bulk_batch_tokens,
    choose_batch,
    choose_lane,
    owed_after,
    padding_tokens,
)
from sidecar.embedding.cache.vectors import Entry, VectorCache
from sidecar.embedding.text.tokenizer import EncodedText
from sidecar.errors import EmbedderOverloaded
from sidecar.ports import Lane
from sidecar.telemetry import EMBEDDER_BATCH_TEXTS, EMBEDDER_SECONDS, EMBEDDER_TOKENS, logger, series

_WINDOW: Final = 1_024  # the texts whose lengths are compared. Sorting them takes less than a millisecond
_TELLING_TOKENS: Final = 256  # with fewer tokens seen the rate is not known well enough to refuse a call
_SHORTEST_RETRY_S: Final = 0.05
_LONGEST_RETRY_S: Final = 30.0

_log = logger("embedding.batcher")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to compute. Texts with equal keys are computed once and cached, a text without a key each time."""

    tokenized: EncodedText
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """The vectors and failures of the texts of one call."""

    pooled: NDArray[np.float32]  # one row a text. The row of a failed text means nothing
    failures: dict[int, str]  # row -> why there is no vector
    shared: frozenset[int]  # rows that another call had already asked for
    queue_s: float  # until a batch took the first of its texts
    compute_s: float  # of the batches that held its texts
    padding_tokens: int  # of the same batches


NOTHING: Final = Computed(np.zeros((0, 0), np.float32), {}, frozenset(), 0.0, 0.0, 0)


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


@dataclass(eq=False, slots=True)
class _Waiting:
    text: Text
    number: int  # of arrival
    lane: Lane
    callers: list[tuple[_Call, int]]  # the calls that get the vector, and in which row
    suspect: bool = False  # it was in work when the worker was lost

    @property
    def tokens(self) -> int:
        return len(self.text.tokenized.ids)


class Batcher:
    """Has texts computed by one model. `run` must be running."""

    def __init__(
        self,
        backend: Computing,
        *,
        model: str,
        dimension: int,
        slots: asyncio.Semaphore,
        cache: VectorCache,
        max_batch_tokens: int,
        max_bulk_batch_s: float,
        max_queue_tokens: int,
    ) -> None:
        self._backend = backend
        self._model = model
        self._dimension = dimension
        self._slots = slots  # batches that all models together may have in work
        self._cache = cache
        self._max_batch_tokens = max_batch_tokens
        self._max_bulk_batch_s = max_bulk_batch_s
        self._max_queue_tokens = max_queue_tokens
        # By number of arrival, so that they are in order, and a cancelled text can be removed from any place.
        self._lanes: dict[Lane, dict[int, _Waiting]] = {lane: {} for lane in Lane}
        self._lane_tokens: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._suspects: dict[int, _Waiting] = {}
        self._suspect_in_work = False
        self._by_key: dict[bytes, _Waiting] = {}  # the texts that wait or are being computed
        self._arrivals = 0
        self._owed_to_bulk_s = 0.0
        self._rate = Rate()  # of one stream
        self._bulk_rate = Rate()  # of bulk batches alone, padding included
        self._something_waits = asyncio.Event()

    @property
    def queued_tokens(self) -> int:
        """The tokens that wait, without those of the batches in work."""
        return sum(self._lane_tokens.values())

    async def compute(self, texts: Sequence[Text], lane: Lane, remaining_s: float | None = None) -> Computed:
        """Wait for the vectors of these texts. If it is cancelled, texts that nobody else waits for leave the queue.

        Raises EmbedderOverloaded if the lane is full or would take longer than `remaining_s`. An empty lane takes any
        call, whatever waits in the other, so a load never shuts queries out.
        """
        new = (text for text in texts if text.key is None or text.key not in self._by_key)
        self._admit(sum(len(text.tokenized.ids) for text in new), lane, remaining_s)
        call = _Call(
            pooled=np.zeros((len(texts), self._dimension), dtype=np.float32),
            lane=lane,
            done=asyncio.get_running_loop().create_future(),
            enqueued=perf_counter(),
            missing=len(texts),
        )
        waited_for, shared = [], set()
        for row, text in enumerate(texts):
            same = self._by_key.get(text.key) if text.key is not None else None
            if same is None:
                waited_for.append(self._add(text, row, call))
            else:
                self._join(same, row, call)
                waited_for.append(same)
                shared.add(row)
        try:
            await call.done
        finally:
            if call.missing:
                for waiting in waited_for:
                    self._leave(waiting, call)
        return self._finished(call, frozenset(shared))

    async def run(self) -> None:
        """Have batches computed on every stream until cancelled. The failure of a text does not touch the others."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._backend.streams):
                group.create_task(self._run_stream(), name=f"stream {number} of {self._model}")

    async def _run_stream(self) -> None:
        while True:
            await self._something_waits.wait()
            await self._backend.usable()
            async with self._slots:  # the batch is chosen when there is room for it, not before
                batch = self._take()
                if batch:
                    await self._run_batch(batch)

    def _admit(self, tokens: int, lane: Lane, remaining_s: float | None) -> None:
        waiting = self._lane_tokens[lane]
        if not tokens or not self.queued_tokens:
            return
        wait_s = self._wait_s(lane)
        if waiting and waiting + tokens > self._max_queue_tokens:
            raise EmbedderOverloaded(_retry_after_s(wait_s))
        if remaining_s is not None and wait_s is not None and wait_s > remaining_s:
            raise EmbedderOverloaded(_retry_after_s(wait_s - remaining_s))

    def _wait_s(self, lane: Lane) -> float | None:
        """How long a new text of this lane would wait for its turn, or None if that is not known yet."""
        of_a_stream = self._rate.per_s(telling_tokens=_TELLING_TOKENS)
        if of_a_stream is None:
            return None
        rate = of_a_stream * self._backend.streams
        if lane is Lane.BULK:
            return self.queued_tokens / rate
        return self._lane_tokens[lane] / rate / (1 - BULK_SHARE)

    def _add(self, text: Text, row: int, call: _Call) -> _Waiting:
        waiting = _Waiting(text, self._arrivals, call.lane, [(call, row)])
        self._arrivals += 1
        self._put(waiting)
        if text.key is not None:
            self._by_key[text.key] = waiting
        return waiting

    def _join(self, waiting: _Waiting, row: int, call: _Call) -> None:
        waiting.callers.append((call, row))
        if call.lane is Lane.INTERACTIVE and self._remove(waiting):  # a person waits now for a text of a load
            waiting.lane = Lane.INTERACTIVE
            self._put(waiting)

    def _leave(self, waiting: _Waiting, call: _Call) -> None:
        waiting.callers = [(other, row) for other, row in waiting.callers if other is not call]
        if not waiting.callers and self._remove(waiting):
            self._forget_key(waiting)

    def _put(self, waiting: _Waiting) -> None:
        self._queue_of(waiting)[waiting.number] = waiting
        self._lane_tokens[waiting.lane] += waiting.tokens
        self._something_waits.set()

    def _queue_of(self, waiting: _Waiting) -> dict[int, _Waiting]:
        return self._suspects if waiting.suspect else self._lanes[waiting.lane]

    def _remove(self, waiting: _Waiting) -> bool:
        """Take a text out of its queue. False if it is already in a batch."""
        if self._queue_of(waiting).pop(waiting.number, None) is None:
            return False
        self._lane_tokens[waiting.lane] -= waiting.tokens
        return True

    def _forget_key(self, waiting: _Waiting) -> None:
        if waiting.text.key is not None:
            del self._by_key[waiting.text.key]

    def _take(self) -> list[_Waiting]:
        if self._suspects and not self._suspect_in_work:
            suspect = next(iter(self._suspects.values()))
            self._remove(suspect)
            self._suspect_in_work = True
            return [suspect]
        lane = choose_lane(
            interactive=bool(self._lanes[Lane.INTERACTIVE]),
            bulk=bool(self._lanes[Lane.BULK]),
            owed_s=self._owed_to_bulk_s,
            bulk_batch_s=self._max_bulk_batch_s,
        )
        if lane is None:
            self._something_waits.clear()
            return []
        max_tokens = self._max_batch_tokens
        if lane is Lane.BULK:
            max_tokens = bulk_batch_tokens(self._bulk_rate.per_s(), self._max_bulk_batch_s, max_tokens)
        window = list(islice(self._lanes[lane].values(), _WINDOW))
        positions = choose_batch([waiting.tokens for waiting in window], max_tokens, self._backend.bucket_tokens)
        batch = [window[position] for position in positions]
        for waiting in batch:
            self._remove(waiting)
        return batch

    async def _run_batch(self, batch: Sequence[_Waiting]) -> None:
        started = perf_counter()
        outcome = await self._computed(batch)
        if outcome is None:
            return
        seconds = perf_counter() - started
        lane = batch[0].lane
        lengths = [waiting.tokens for waiting in batch]
        padding = padding_tokens(lengths, self._backend.bucket_tokens)
        series(EMBEDDER_BATCH_TEXTS, self._model, lane).observe(len(batch))
        series(EMBEDDER_TOKENS, self._model, "computed").inc(sum(lengths))
        series(EMBEDDER_TOKENS, self._model, "padding").inc(padding)
        self._owed_to_bulk_s = owed_after(self._owed_to_bulk_s, lane, seconds, bulk_waits=bool(self._lanes[Lane.BULK]))
        if not outcome.failures:  # a second try would distort the rate
            self._rate.learn(sum(lengths), seconds)
            if lane is Lane.BULK:
                self._bulk_rate.learn(sum(lengths) + padding, seconds)
        for call in {id(call): call for waiting in batch for call, _ in waiting.callers}.values():
            call.started = call.started or started
            call.compute_s += seconds
            call.padding_tokens += padding
        for position, waiting in enumerate(batch):
            self._deliver(waiting, outcome.pooled[position], outcome.failures.get(position))

    async def _computed(self, batch: Sequence[_Waiting]) -> BatchResult | None:
        """The result of the batch, or None if its texts were put back into the queue."""
        try:
            outcome = await self._backend.compute([waiting.text.tokenized.ids for waiting in batch])
        except WorkerLost:
            return self._put_back(batch)
        finally:
            if batch[0].suspect:
                self._suspect_in_work = False
                self._something_waits.set()  # for the next one
        if len(outcome.failures) < len(batch) and outcome.pooled.shape != (len(batch), self._dimension):
            failure = f"ValueError: a matrix of {outcome.pooled.shape} for {len(batch)} texts"
            outcome = BatchResult(outcome.pooled, dict.fromkeys(range(len(batch)), failure))
        if outcome.failures:
            reasons = sorted(set(outcome.failures.values()))
            _log.error("texts failed", action="texts_failed", model=self._model, texts=len(reasons), reasons=reasons)
        return outcome

    def _put_back(self, batch: Sequence[_Waiting]) -> BatchResult | None:
        """Queue the texts that were in work when the worker was lost. Each will be computed alone, one after the other.

        A text that was already alone is the cause, and fails.
        """
        if batch[0].suspect:
            _log.error("a text ends the worker", action="text_ends_worker", model=self._model)
            return BatchResult(np.zeros((1, 0), np.float32), {0: "WorkerLost: twice"})
        for waiting in batch:
            waiting.suspect = True
            if waiting.callers:
                self._put(waiting)
            else:
                self._forget_key(waiting)
        return None

    def _deliver(self, waiting: _Waiting, vector: NDArray[np.float32], failure: str | None) -> None:
        self._forget_key(waiting)
        text = waiting.text
        if failure is None and text.key is not None and vector.any() and np.isfinite(vector).all():
            # It is kept even if every caller has gone: a caller that tries again after a deadline finds it.
            entry = Entry(vector.copy(), len(text.tokenized.ids), text.tokenized.dropped)
            vector = self._cache.keep(text.key, entry).pooled
        for call, row in waiting.callers:
            if failure is not None:
                call.failures[row] = f"the back end failed on this text: {failure.partition(':')[0]}"
            else:
                call.pooled[row] = vector
            call.missing -= 1
            if call.missing == 0 and not call.done.done():  # it is already done if its caller has gone
                call.done.set_result(None)

    def _finished(self, call: _Call, shared: frozenset[int]) -> Computed:
        queue_s = max((call.started or call.enqueued) - call.enqueued, 0.0)  # it may have joined a batch that had begun
        series(EMBEDDER_SECONDS, self._model, call.lane, "queue").observe(queue_s)
        series(EMBEDDER_SECONDS, self._model, call.lane, "compute").observe(call.compute_s)
        return Computed(call.pooled, call.failures, shared, queue_s, call.compute_s, call.padding_tokens)


def _retry_after_s(wait_s: float | None) -> float:
    return 1.0 if wait_s is None else min(max(wait_s, _SHORTEST_RETRY_S), _LONGEST_RETRY_S)
