import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.embedding.backends import AUTO, BUILT
from sidecar.embedding.loading.selftest import PROBES, check, cosines, probe_texts
from sidecar.errors import ConfigurationError
from sidecar.model import Prompts, Role
from sidecar.models.catalogue import catalogue, shipped_versions

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
REFERENCES = np.random.default_rng(1).standard_normal((8, 384)).astype(np.float32)


def moved(cosine: float, row: int = 5) -> NDArray[np.float32]:
    """The references, one of them turned so far that it has this cosine."""
    reference = REFERENCES[row].astype(np.float64)
    across = np.random.default_rng(2).standard_normal(384)
    across -= reference * (across @ reference) / (reference @ reference)
    across *= np.linalg.norm(reference) / np.linalg.norm(across)
    vectors = REFERENCES.copy()
    vectors[row] = cosine * reference + np.sqrt(1 - cosine**2) * across
    return vectors


@pytest.mark.parametrize(
    ("backend", "least"),
    [
        pytest.param("torch", 0.9999, id="torch"),
        pytest.param("openvino", 0.9999, id="float32"),
        pytest.param("openvino-w8", 0.99, id="8-bit weights"),
        pytest.param("openvino-int8", 0.97, id="8 bits"),
    ],
)
def test_each_back_end_is_held_to_its_own_tolerance(backend: str, least: float) -> None:
    check(MINILM, backend, REFERENCES, REFERENCES)
    check(MINILM, backend, moved(least + 5e-5), REFERENCES)
    with pytest.raises(ConfigurationError) as failed:
        check(MINILM, backend, moved(least - 5e-5), REFERENCES)
    assert str(failed.value) == (
        f"self-test of model [all-minilm-l6-v2@1] on back end [{backend}] failed: "
        f"probe 5 has cosine {least - 5e-5:.6f} to float32, not {least} or more"
    )


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [
        pytest.param(REFERENCES / np.linalg.norm(REFERENCES, axis=1, keepdims=True), "probe 0 has length", id="length"),
        pytest.param(REFERENCES * np.float32(np.nan), "probe 0 has cosine nan", id="NaN"),
        pytest.param(REFERENCES * 0, "probe 0 has cosine nan", id="zeros"),
        pytest.param(REFERENCES[:, :100], "it computes 8 x 100, the references are 8 x 384", id="dimension"),
    ],
)
def test_what_is_no_vector_of_the_model_is_refused(vectors: NDArray[np.float32], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        check(MINILM, "torch", vectors, REFERENCES)


def test_cosines() -> None:
    found = cosines(np.array([[1, 0], [1, 1], [-2, 0]], np.float32), np.array([[3, 0], [1, 0], [1, 0]], np.float32))
    assert found == pytest.approx([1, np.sqrt(0.5), -1])


def test_every_back_end_has_a_tolerance() -> None:
    for backend in ("torch", *BUILT):
        assert backend != AUTO
        check(MINILM, backend, REFERENCES, REFERENCES)


def test_probes_carry_the_prompts_of_their_role() -> None:
    version = MINILM.model_copy(update={"prompts": Prompts(query="Q: ", passage="P: ")})
    for (role, text), probe in zip(PROBES, probe_texts(version), strict=True):
        assert probe == {Role.QUERY: "Q: ", Role.PASSAGE: "P: "}[role] + text


def test_the_longest_probe_is_beyond_the_limit_of_every_known_model() -> None:
    words = max(len(text.split()) for _, text in PROBES)
    assert words > max(entry.max_tokens for entry in catalogue().values())
