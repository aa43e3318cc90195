"""What is packed into a frame comes out of it."""

from typing import Any

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from sidecar.embedding.worker.frames import PREFIX_BYTES, pack, sizes, texts_frame, texts_of, vectors_frame, vectors_of


def opened(frame: bytes) -> tuple[dict[str, Any], bytes]:
    header_bytes, block_bytes = sizes(frame[:PREFIX_BYTES])
    assert len(frame) == PREFIX_BYTES + header_bytes + block_bytes
    return orjson.loads(frame[PREFIX_BYTES : PREFIX_BYTES + header_bytes]), frame[PREFIX_BYTES + header_bytes :]


def test_a_frame_is_a_header_and_a_block() -> None:
    assert opened(pack({"a": 1}, b"block")) == ({"a": 1}, b"block")
    assert opened(pack({})) == ({}, b"")


@pytest.mark.parametrize("texts", [[[1, 2, 3]], [[1, 2], [3], [4, 5, 6]]])
def test_token_ids(texts: list[list[int]]) -> None:
    header, block = opened(texts_frame(7, 1, [np.array(ids, np.int32) for ids in texts]))

    assert (header["batch"], header["model"]) == (7, 1)
    assert [ids.tolist() for ids in texts_of(header["lengths"], block)] == texts


def test_a_sign_of_life_has_no_texts() -> None:
    assert opened(texts_frame(7, 0, [])) == ({"batch": 7, "model": 0, "lengths": []}, b"")


@pytest.mark.parametrize("vectors", [np.zeros((0, 0), np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)])
def test_vectors(vectors: NDArray[np.float32]) -> None:
    header, block = opened(vectors_frame(7, vectors, {1: "too long"}))

    assert header["failures"] == [[1, "too long"]]
    np.testing.assert_array_equal(vectors_of(header["rows"], block), vectors)
