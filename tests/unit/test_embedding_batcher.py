import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.embedding.batcher import Batcher
from sidecar.errors import EmbedderOverloaded
from sidecar.ports import Lane


class StepBackend:
    """Computes a batch when told to; a vector says which ids it came from. Id 666 breaks the batch."""

    name = "step"
    deterministic = True

    def __init__(self) -> None:
        self.batches: list[list[list[int]]] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        self.batches.append([ids.tolist() for ids in batch])
        self.entered.release()
        assert self.go_on.acquire(timeout=10)
        if any(666 in ids for ids in batch):
            raise RuntimeError("the device is gone")
        return np.array([[float(ids[0]), float(len(ids))] for ids in batch], dtype=np.float32)


def ids(*values: int) -> NDArray[np.int32]:
    return np.array(values, dtype=np.int32)


@asynccontextmanager
async def running(
    backend: StepBackend, *, max_batch_tokens: int = 100, max_queue_tokens: int = 1_000
) -> AsyncIterator[Batcher]:
    with ThreadPoolExecutor(1) as worker:
        batcher = Batcher(
            backend,
            model="m@1",
            dimension=2,
            worker=worker,
            max_batch_tokens=max_batch_tokens,
            max_queue_tokens=max_queue_tokens,
        )
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(batcher.run())
            try:
                yield batcher
            finally:
                for _ in range(100):
                    backend.go_on.release()
                loop.cancel()


async def entered(backend: StepBackend) -> None:
    assert await asyncio.to_thread(backend.entered.acquire, timeout=10)


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
            await batcher.compute([ids(1, 2)], Lane.INTERACTIVE)
        assert refused.value.retry_after_s > 0
        backend.go_on.release(2)


async def test_a_back_end_that_raises_fails_its_batch_and_goes_on() -> None:
    backend = StepBackend()
    backend.go_on.release(2)
    async with running(backend, max_batch_tokens=1) as batcher:
        computed = await batcher.compute([ids(666), ids(2)], Lane.BULK)
    assert computed.failures == {0: "the back end failed on the batch of this text: RuntimeError"}
    assert computed.pooled[1].tolist() == [2, 1]


async def test_a_matrix_of_the_wrong_shape_is_a_failure_too() -> None:
    class Wrong(StepBackend):
        def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
            return np.ones((len(batch), 3), dtype=np.float32)

    async with running(Wrong()) as batcher:
        computed = await batcher.compute([ids(1)], Lane.BULK)
    assert computed.failures == {0: "the back end failed on the batch of this text: ValueError"}
