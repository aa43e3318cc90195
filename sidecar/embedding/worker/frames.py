"""The messages between the server and its worker process: frames of a JSON header and a block of bytes. Pure.

Token ids and vectors travel as bytes, straight from one array into the other.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

_PREFIX: Final = struct.Struct("<II")  # bytes of the header, bytes of the block
PREFIX_BYTES: Final = _PREFIX.size


def pack(header: dict[str, Any], block: bytes = b"") -> bytes:
    """The bytes of a frame."""
    encoded = orjson.dumps(header)
    return _PREFIX.pack(len(encoded), len(block)) + encoded + block


def sizes(prefix: bytes) -> tuple[int, int]:
    """How many bytes of header and of block follow the first `PREFIX_BYTES` of a frame."""
    header_bytes, block_bytes = _PREFIX.unpack(prefix)
    return header_bytes, block_bytes


def texts_frame(number: int, model: int, texts: Sequence[NDArray[np.int32]]) -> bytes:
    """Ask for the vectors of texts. Without texts, ask only for a sign of life."""
    ids = np.concatenate(texts).astype("<i4", copy=False).tobytes() if texts else b""
    return pack({"batch": number, "model": model, "lengths": [len(text) for text in texts]}, ids)


def texts_of(lengths: Sequence[int], block: bytes) -> list[NDArray[np.int32]]:
    """The token ids of each text, from a block of `texts_frame`."""
    return np.split(np.frombuffer(block, "<i4"), np.cumsum(lengths)[:-1])


def vectors_frame(number: int, vectors: NDArray[np.float32], failures: dict[int, str]) -> bytes:
    """Answer with one vector a text. The row of a failed text means nothing."""
    header = {"batch": number, "rows": len(vectors), "failures": list(failures.items())}
    return pack(header, vectors.astype("<f4", copy=False).tobytes())


def vectors_of(rows: int, block: bytes) -> NDArray[np.float32]:
    """The vectors from a block of `vectors_frame`: rows x dimension."""
    return np.frombuffer(block, "<f4").reshape(rows, -1) if rows else np.zeros((0, 0), np.float32)
