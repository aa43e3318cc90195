"""From what a model pools to what leaves the server. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sidecar.contract import embedding_pb2 as pb

DTYPES: Final[dict[int, str]] = {pb.ENCODING_FLOAT32: "<f4", pb.ENCODING_FLOAT16: "<f2"}


def finish(
    pooled: NDArray[np.float32], *, dimension: int, normalize: bool, encoding: int
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Cut, scale to length 1 and encode pooled vectors; and say which rows are vectors at all.

    A row that holds NaN or infinity, or nothing but zeros, is none. The test is made on what leaves the server: a
    component may be too large for float16.
    """
    vectors = pooled[:, :dimension]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if normalize:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        encoded = vectors.astype(DTYPES[encoding], copy=False)
    usable = np.isfinite(encoded).all(axis=1) & encoded.any(axis=1)
    return encoded, usable
