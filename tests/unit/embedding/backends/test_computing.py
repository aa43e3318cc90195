from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.embedding.backends.computing import BatchResult, compute_each
from sidecar.embedding.worker.frames import pack, sizes, texts_frame, texts_of, vectors_frame, vectors_of


class Device:
    """Holds `room` tokens; breaks on text 13; text 7 gives NaN unless it is computed in float32."""

    deterministic = True
    bucket_tokens = 0

    def __init__(self, room: int, *, exact: bool = True) -> None:
        self.room = room
        self.exact = exact
        self.batches: list[list[int]] = []

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        self.batches.append([int(ids[0]) for ids in batch])
        if sum(map(len, batch)) > self.room:
            raise MemoryError("no room")
        if any(ids[0] == 13 for ids in batch):
            raise RuntimeError("broken: by a text")
        vectors = np.array([[ids[0], len(ids)] for ids in batch], np.float32)
        vectors[vectors[:, 0] == 7] = np.nan
        vectors.flags.writeable = False  # a library may hand out memory of its own
        return vectors

    def compute_in_float32(self, ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        return np.array([ids[0], len(ids)], np.float32) if self.exact else None


def texts(*firsts: int, tokens: int = 2) -> list[NDArray[np.int32]]:
    return [np.full(tokens, first, np.int32) for first in firsts]


def test_a_batch_that_works_is_computed_once() -> None:
    device = Device(room=100)
    assert compute_each(device, texts(1, 2, 3)).pooled.tolist() == [[1, 2], [2, 2], [3, 2]]
    assert device.batches == [[1, 2, 3]]


def test_out_of_memory_halves_the_batch_until_it_fits() -> None:
    device = Device(room=4)
    outcome = compute_each(device, texts(1, 2, 3, 4, 5))
    assert (outcome.pooled[:, 0].tolist(), outcome.failures) == ([1, 2, 3, 4, 5], {})
    assert device.batches == [[1, 2, 3, 4, 5], [1, 2], [3, 4, 5], [3], [4, 5]]


@pytest.mark.parametrize("position", range(4))
def test_the_text_that_is_to_blame_fails_alone(position: int) -> None:
    firsts = [1, 2, 3]
    firsts.insert(position, 13)
    outcome = compute_each(Device(room=100), texts(*firsts))
    assert outcome.failures == {position: "RuntimeError: broken: by a text"}
    assert np.delete(outcome.pooled, position, axis=0)[:, 0].tolist() == [1, 2, 3]


def test_a_text_for_which_there_is_no_room_at_all_fails_alone() -> None:
    outcome = compute_each(Device(room=4), [*texts(1), *texts(2, tokens=9)])
    assert (outcome.pooled[0].tolist(), outcome.failures) == ([1, 2], {1: "MemoryError: no room"})


def test_when_every_text_fails_there_is_a_reason_for_each() -> None:
    assert compute_each(Device(room=100), texts(13, 13)).failures.keys() == {0, 1}


def test_what_is_not_a_number_is_computed_again_in_float32() -> None:
    assert compute_each(Device(room=100), texts(1, 7)).pooled.tolist() == [[1, 2], [7, 2]]
    left = compute_each(Device(room=100, exact=False), texts(1, 7))
    assert np.isnan(left.pooled).tolist() == [[False, False], [True, True]]


def _split(frame: bytes) -> tuple[bytes, bytes]:
    header_bytes, block_bytes = sizes(frame[:8])
    assert len(frame) == 8 + header_bytes + block_bytes
    return frame[8 : 8 + header_bytes], frame[8 + header_bytes :]


def test_frames_carry_texts_and_vectors() -> None:
    asked = [np.array([101, 7, 102], np.int32), np.array([101], np.int32)]
    header, block = _split(texts_frame(5, 1, asked))
    assert header == b'{"batch":5,"model":1,"lengths":[3,1]}'
    assert [ids.tolist() for ids in texts_of([3, 1], block)] == [[101, 7, 102], [101]]
    outcome = BatchResult(np.array([[1.5, -2.0], [0.0, np.inf]], np.float32), {1: "why"})
    header, block = _split(vectors_frame(5, outcome.pooled, dict(outcome.failures)))
    assert header == b'{"batch":5,"rows":2,"failures":[[1,"why"]]}'
    assert (vectors_of(2, block) == outcome.pooled).all()


def test_a_sign_of_life_holds_no_texts() -> None:
    header, block = _split(texts_frame(5, 0, []))
    assert (header, block) == (b'{"batch":5,"model":0,"lengths":[]}', b"")
    assert vectors_of(0, b"").shape == (0, 0)
    assert _split(pack({})) == (b"{}", b"")
