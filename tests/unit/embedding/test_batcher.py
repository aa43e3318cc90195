import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.embedding.backends.computing import BatchResult, WorkerLost
from sidecar.embedding.batcher import Batcher, Computed, Text
from sidecar.embedding.cache.vectors import VectorCache
from sidecar.embedding.text.tokenizer import EncodedText
from sidecar.errors import EmbedderOverloaded
from sidecar.ports import Lane
from tests.support.computing import Double, InThread


class StepBackend(Double):
    """Computes a batch when told to; a vector says which ids it came from. Id 666 breaks the batch."""

    name = "step"
    deterministic = True

    def __init__(self, bucket_tokens: int = 0) -> None:
        self.bucket_tokens = bucket_tokens
        self.batches: list[list[list[int]]] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        self.batches.append([ids.tolist() for ids in batch])
        self.entered.release()
        assert self.go_on.acquire(timeout=60)
        if any(666 in ids for ids in batch):
            raise RuntimeError("the device is gone")
        return np.array([[float(ids[0]), float(len(ids))] for ids in batch], dtype=np.float32)


def ids(*values: int, key: bytes | None = None) -> Text:
    return Text(EncodedText(np.array(values, dtype=np.int32), dropped=0), key)


@asynccontextmanager
async def running(
    backend: "StepBackend | Fragile",
    *,
    slots: int = 1,
    max_batch_tokens: int = 100,
    max_queue_tokens: int = 1_000,
    cache: VectorCache | None = None,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        InThread(backend) if isinstance(backend, StepBackend) else backend,
        model="m@1",
        dimension=2,
        slots=asyncio.Semaphore(slots),
        cache=cache or VectorCache(0),
        max_batch_tokens=max_batch_tokens,
        max_bulk_batch_s=10.0,
        max_queue_tokens=max_queue_tokens,
    )
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(batcher.run())
        try:
            yield batcher
        finally:
            if isinstance(backend, StepBackend):
                backend.go_on.release(100)
            loop.cancel()


async def entered(backend: StepBackend) -> None:
    assert await asyncio.to_thread(backend.entered.acquire, timeout=60)


async def test_every_text_gets_its_own_vector() -> None:
    backend = StepBackend()
    backend.go_on.release()
    async with running(backend) as batcher:
        computed = await batcher.compute([ids(1), ids(2, 2, 2), ids(3, 3)], Lane.BULK)
    assert computed.pooled.tolist() == [[1, 1], [2, 3], [3, 2]]
    assert (computed.failures, computed.padding_tokens) == ({}, 3)


async def test_what_comes_while_the_device_is_busy_makes_one_batch_and_interactive_goes_first() -> None:
    backend = StepBackend()
    async with running(backend) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.compute([ids(1)], Lane.BULK))
        await entered(backend)
        group.create_task(batcher.compute([ids(2)], Lane.BULK))
        group.create_task(batcher.compute([ids(3)], Lane.BULK))
        group.create_task(batcher.compute([ids(4)], Lane.INTERACTIVE))
        await asyncio.sleep(0)
        for _ in range(3):
            backend.go_on.release()
    assert backend.batches == [[[1]], [[4]], [[2], [3]]]


async def test_a_cancelled_call_leaves_the_queue_without_being_computed() -> None:
    backend = StepBackend()
    async with running(backend, max_queue_tokens=20_000) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.compute([ids(1)], Lane.BULK))
        await entered(backend)
        gone = [group.create_task(batcher.compute([ids(9), ids(9)], Lane.BULK)) for _ in range(10_000)]
        await asyncio.sleep(0)
        assert batcher.queued_tokens == 20_000
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        assert batcher.queued_tokens == 0
        backend.go_on.release()
    assert backend.batches == [[[1]]]


async def test_a_full_queue_refuses_at_once_and_says_when_to_try_again() -> None:
    backend = StepBackend()
    async with running(backend, max_queue_tokens=3) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.compute([ids(1, 2, 3, 4, 5)], Lane.BULK))  # an empty queue takes any call
        await entered(backend)
        group.create_task(batcher.compute([ids(1, 2)], Lane.BULK))
        await asyncio.sleep(0)
        with pytest.raises(EmbedderOverloaded) as refused:
            await batcher.compute([ids(1, 2)], Lane.BULK)
        assert refused.value.retry_after_s > 0
        backend.go_on.release(2)


@pytest.mark.parametrize(("load", "other"), [(Lane.BULK, Lane.INTERACTIVE), (Lane.INTERACTIVE, Lane.BULK)])
async def test_a_load_that_is_larger_than_the_queue_shuts_nobody_out_of_the_other_lane(load: Lane, other: Lane) -> None:
    backend = StepBackend()
    async with running(backend, max_queue_tokens=3, max_batch_tokens=1) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.compute([ids(1, 1), ids(2, 2), ids(3, 3)], load))
        await entered(backend)
        beside = group.create_task(batcher.compute([ids(4, 4)], other))
        await asyncio.sleep(0)
        with pytest.raises(EmbedderOverloaded):  # this lane is bounded, too
            await batcher.compute([ids(5, 5)], other)
        backend.go_on.release(4)
        assert (await beside).pooled.tolist() == [[4, 2]]


async def test_a_back_end_that_raises_fails_its_batch_and_goes_on() -> None:
    backend = StepBackend()
    backend.go_on.release(2)
    async with running(backend, max_batch_tokens=1) as batcher:
        computed = await batcher.compute([ids(666), ids(2)], Lane.BULK)
    assert computed.failures == {0: "the back end failed on this text: RuntimeError"}
    assert computed.pooled[1].tolist() == [2, 1]


async def test_a_matrix_of_the_wrong_shape_is_a_failure_too() -> None:
    class Wrong(StepBackend):
        def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
            return np.ones((len(batch), 3), dtype=np.float32)

    async with running(Wrong()) as batcher:
        computed = await batcher.compute([ids(1)], Lane.BULK)
    assert computed.failures == {0: "the back end failed on this text: ValueError"}


async def test_a_bucketed_back_end_gets_batches_of_one_padded_length() -> None:
    backend = StepBackend(bucket_tokens=2)
    backend.go_on.release(2)
    async with running(backend) as batcher:
        computed = await batcher.compute([ids(1), ids(2, 2, 2), ids(3, 3)], Lane.BULK)
    assert backend.batches == [[[1], [3, 3]], [[2, 2, 2]]]
    assert computed.padding_tokens == 2


async def test_the_same_text_of_two_callers_is_computed_once() -> None:
    backend = StepBackend()
    async with running(backend) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.compute([ids(1)], Lane.BULK))
        await entered(backend)
        first = group.create_task(batcher.compute([ids(7, key=b"7"), ids(8)], Lane.BULK))
        second = group.create_task(batcher.compute([ids(9), ids(7, key=b"7")], Lane.BULK))
        await asyncio.sleep(0)
        backend.go_on.release(2)
        computed = await first, await second
    assert [one.shared for one in computed] == [frozenset(), {1}]
    assert [one.pooled[:, 0].tolist() for one in computed] == [[7, 8], [9, 7]]
    assert sorted(text for batch in backend.batches for text in batch) == [[1], [7], [8], [9]]


async def test_without_a_key_each_text_is_computed_anew() -> None:
    backend = StepBackend()
    backend.go_on.release(2)
    async with running(backend) as batcher:
        computed = await batcher.compute([ids(7), ids(7)], Lane.BULK)
    assert (computed.shared, backend.batches) == (frozenset(), [[[7], [7]]])


@pytest.mark.parametrize(
    "gone", [pytest.param(0, id="who asked first is gone"), pytest.param(1, id="who joined is gone")]
)
async def test_one_caller_that_goes_takes_nothing_from_the_other(gone: int) -> None:
    backend = StepBackend()
    async with running(backend) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.compute([ids(1)], Lane.BULK))
        await entered(backend)
        calls = [group.create_task(batcher.compute([ids(7, key=b"7")], Lane.BULK)) for _ in range(2)]
        await asyncio.sleep(0)
        calls[gone].cancel()
        await asyncio.wait([calls[gone]])
        assert batcher.queued_tokens == 1
        backend.go_on.release(2)
        assert (await calls[1 - gone]).pooled[0, 0] == 7
    assert backend.batches == [[[1]], [[7]]]


async def test_a_text_that_everybody_has_left_may_be_asked_for_again() -> None:
    backend = StepBackend()
    async with running(backend) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.compute([ids(1)], Lane.BULK))
        await entered(backend)
        for _ in range(2):
            left = group.create_task(batcher.compute([ids(7, key=b"7")], Lane.BULK))
            await asyncio.sleep(0)
            left.cancel()
            await asyncio.wait([left])
        assert batcher.queued_tokens == 0
        again = group.create_task(batcher.compute([ids(7, key=b"7")], Lane.BULK))
        await asyncio.sleep(0)
        backend.go_on.release(2)
        assert (await again).shared == frozenset()


async def test_a_query_takes_a_text_that_a_load_asked_for_to_the_front() -> None:
    backend = StepBackend()
    async with running(backend, max_batch_tokens=1) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.compute([ids(1)], Lane.BULK))
        await entered(backend)
        group.create_task(batcher.compute([ids(2), ids(3, key=b"3")], Lane.BULK))
        await asyncio.sleep(0)
        group.create_task(batcher.compute([ids(3, key=b"3")], Lane.INTERACTIVE))
        await asyncio.sleep(0)
        backend.go_on.release(3)
    assert backend.batches == [[[1]], [[3]], [[2]]]


async def test_a_vector_is_kept_even_if_its_caller_has_gone() -> None:
    backend, cache = StepBackend(), VectorCache(10_000)
    async with running(backend, cache=cache) as batcher, asyncio.TaskGroup() as group:
        left = group.create_task(batcher.compute([ids(7, 7, key=b"7")], Lane.BULK))
        await entered(backend)
        left.cancel()
        await asyncio.wait([left])
        backend.go_on.release(2)
        await batcher.compute([ids(1)], Lane.BULK)
    entry = cache.get(b"7")
    assert entry is not None
    assert (entry.pooled.tolist(), entry.tokens, entry.dropped) == ([7, 2], 2, 0)


async def test_what_is_no_vector_is_not_kept() -> None:
    class Broken(StepBackend):
        def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
            return np.array([[0, 0], [np.nan, 1], [np.inf, 1]], dtype=np.float32)

    cache = VectorCache(10_000)
    async with running(Broken(), cache=cache) as batcher:
        await batcher.compute([ids(n, key=bytes([n])) for n in range(3)], Lane.BULK)
    assert [cache.get(bytes([n])) for n in range(3)] == [None] * 3


async def _measured(backend: StepBackend, batcher: Batcher) -> Computed:
    """Let a batch through, so that the batcher knows a rate."""
    backend.go_on.release()
    computed = await batcher.compute([ids(*range(300))], Lane.BULK)
    assert backend.entered.acquire(blocking=False)
    return computed


async def test_a_deadline_that_cannot_be_met_is_refused_at_once() -> None:
    backend = StepBackend()
    async with running(backend) as batcher, asyncio.TaskGroup() as group:
        await _measured(backend, batcher)
        group.create_task(batcher.compute([ids(2)], Lane.BULK))
        await entered(backend)
        group.create_task(batcher.compute([ids(*range(3, 90))], Lane.BULK))
        await asyncio.sleep(0)
        with pytest.raises(EmbedderOverloaded) as refused:
            await batcher.compute([ids(100)], Lane.BULK, remaining_s=0.0)
        assert refused.value.retry_after_s > 0
        query = group.create_task(batcher.compute([ids(101)], Lane.INTERACTIVE, remaining_s=0.0))
        await asyncio.sleep(0)
        assert not query.done()  # the load does not stand before it
        backend.go_on.release(3)
    assert [[2], [101], list(range(3, 90))] == [text for batch in backend.batches[1:] for text in batch]


async def test_an_empty_queue_takes_a_call_with_any_deadline() -> None:
    backend = StepBackend()
    async with running(backend) as batcher:
        await _measured(backend, batcher)
        backend.go_on.release()
        assert (await batcher.compute([ids(2)], Lane.BULK, remaining_s=0.0)).failures == {}


class Fragile:
    """A worker that dies of id 13 and of whatever is in work beside it."""

    name = "fragile"
    deterministic = True
    bucket_tokens = 0

    def __init__(self, streams: int = 1) -> None:
        self.streams = streams
        self.batches: list[list[int]] = []
        self.entered = asyncio.Semaphore(0)
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.is_usable = asyncio.Event()
        self.is_usable.set()

    async def usable(self) -> None:
        await self.is_usable.wait()

    async def compute(self, batch: Sequence[NDArray[np.int32]]) -> BatchResult:
        self.batches.append([int(text[0]) for text in batch])
        self.entered.release()
        await self.may_go_on.wait()
        if any(text[0] == 13 for text in batch):
            raise WorkerLost
        return BatchResult(np.array([[float(text[0]), float(len(text))] for text in batch], dtype=np.float32))


async def test_texts_that_were_in_work_when_the_worker_was_lost_are_computed_again_each_alone() -> None:
    worker = Fragile()
    async with running(worker) as batcher:
        computed = await batcher.compute([ids(1), ids(13), ids(2)], Lane.BULK)
        assert computed.failures == {1: "the back end failed on this text: WorkerLost"}
        assert computed.pooled[[0, 2], 0].tolist() == [1, 2]
        assert worker.batches == [[1, 13, 2], [1], [13], [2]]
        assert batcher.queued_tokens == 0


async def test_what_was_beside_a_text_to_blame_is_never_in_work_beside_another() -> None:
    worker = Fragile(streams=2)
    async with running(worker, slots=2) as batcher:
        both = await asyncio.gather(
            batcher.compute([ids(1), ids(13), ids(2)], Lane.BULK), batcher.compute([ids(3), ids(13, 13)], Lane.BULK)
        )
    assert [list(one.failures) for one in both] == [[1], [1]]


async def test_nothing_is_taken_while_the_worker_cannot_compute_and_what_is_cancelled_leaves() -> None:
    worker = Fragile()
    worker.is_usable.clear()
    async with running(worker) as batcher, asyncio.TaskGroup() as group:
        gone = group.create_task(batcher.compute([ids(1)], Lane.BULK))
        waiting = group.create_task(batcher.compute([ids(2)], Lane.BULK))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert (worker.batches, batcher.queued_tokens) == ([], 1)
        worker.is_usable.set()
        await waiting
    assert worker.batches == [[2]]


async def test_a_suspect_whose_caller_has_gone_is_not_computed_again() -> None:
    worker = Fragile()
    worker.may_go_on.clear()
    async with running(worker) as batcher, asyncio.TaskGroup() as group:
        gone = group.create_task(batcher.compute([ids(13, key=b"13")], Lane.BULK))
        await worker.entered.acquire()
        gone.cancel()
        await asyncio.wait([gone])
        worker.may_go_on.set()
        await batcher.compute([ids(1)], Lane.BULK)
    assert worker.batches == [[13], [1]]


async def test_as_many_batches_are_in_work_as_there_are_streams() -> None:
    worker = Fragile(streams=2)
    worker.may_go_on.clear()
    async with running(worker, max_batch_tokens=1, slots=2) as batcher, asyncio.TaskGroup() as group:
        done = group.create_task(batcher.compute([ids(1), ids(2), ids(3)], Lane.BULK))
        await worker.entered.acquire()
        await worker.entered.acquire()
        await asyncio.sleep(0)
        assert worker.batches == [[1], [2]]
        worker.may_go_on.set()
        assert (await done).pooled[:, 0].tolist() == [1, 2, 3]
