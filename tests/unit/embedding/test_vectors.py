import numpy as np
import pytest

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.vectors import finish

POOLED = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 0.0], [np.nan, 1.0, 1.0], [1e6, 1.0, 1.0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("dimension", "normalize", "encoding", "first", "usable"),
    [
        pytest.param(3, False, pb.ENCODING_FLOAT32, [3, 4, 12], [True, False, False, True], id="as pooled"),
        pytest.param(2, True, pb.ENCODING_FLOAT32, [0.6, 0.8], [True, False, False, True], id="cut first, then scaled"),
        pytest.param(
            3, False, pb.ENCODING_FLOAT16, [3, 4, 12], [True, False, False, False], id="too large for float16"
        ),
    ],
)
def test_finish(dimension: int, normalize: bool, encoding: pb.Encoding, first: list[float], usable: list[bool]) -> None:
    encoded, ok = finish(POOLED, dimension=dimension, normalize=normalize, encoding=encoding)
    assert encoded[0].tolist() == pytest.approx(first)
    assert ok.tolist() == usable
    assert encoded.dtype == np.dtype("<f4" if encoding == pb.ENCODING_FLOAT32 else "<f2")
