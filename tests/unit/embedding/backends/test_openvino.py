import numpy as np
import pytest

from sidecar.embedding.backends.openvino import padded_batch, padded_tokens


@pytest.mark.parametrize(
    ("tokens", "padded"),
    [
        pytest.param(1, 16, id="one token"),
        pytest.param(16, 16, id="a full bucket"),
        pytest.param(17, 32, id="one more"),
        pytest.param(49, 50, id="never beyond the limit of the model"),
        pytest.param(50, 50, id="at the limit"),
    ],
)
def test_padded_tokens(tokens: int, padded: int) -> None:
    assert padded_tokens(tokens, bucket_tokens=16, max_tokens=50) == padded


def test_padded_batch() -> None:
    texts = [np.array([7, 8], np.int32), np.array([9], np.int32)]
    ids, mask = padded_batch(texts, 3, pad_id=1)
    assert (ids.tolist(), mask.tolist()) == ([[7, 8, 1], [9, 1, 1]], [[1, 1, 0], [1, 0, 0]])
