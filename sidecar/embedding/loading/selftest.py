"""The self-test: does a back end compute the vectors of its model version? Pure.

Before a model is served, probe texts are embedded and compared with the vectors that the weights gave in float32. Wrong
pooling, a missing prompt, a mask that lets padding through, a wrong limit of tokens and a damaged weight all show here.
None of them raises an error by itself: searches would only become bad.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sidecar.errors import ConfigurationError
from sidecar.model import ModelVersion, Role

_LONG: Final = (  # longer than the limit of every model in the catalogue, so that a wrong cut shows
    "A search index keeps for each word the documents that hold it, and where. "
    "Dense vectors place texts of like meaning near each other. "
    "Numbers such as 3.14159, 1,024 and 2e-7 and names such as Zürich break into many pieces. "
) * 20

PROBES: Final[tuple[tuple[Role, str], ...]] = (
    (Role.QUERY, "a"),
    (Role.QUERY, "What is the airspeed velocity of an unladen swallow?"),
    (Role.PASSAGE, "Vaccines train the immune system to recognise a pathogen before it causes disease."),
    (Role.PASSAGE, "Ein Satz mit Umlauten: äöüß, dazu 漢字, مرحبا und 🙂"),
    (Role.PASSAGE, "def unique(ar, return_index=False):\n    return np.sort(ar)[mask]  # O(n log n)"),
    (Role.PASSAGE, '{"error": {"type": "index_not_found_exception", "status": 404}}'),
    (Role.PASSAGE, _LONG[:500]),
    (Role.PASSAGE, _LONG),
)

REFERENCES_FILE: Final = "references.npy"  # of an artifact: the pooled vectors of the probes in float32

# The least cosine to float32 that a back end may show on a probe. Quantised models give at least .998 (openvino-w8) and
# .984 (openvino-int8) on abstracts. A cosine far below that is not caused by rounding.
_LEAST_COSINE: Final = {
    "torch": 0.9999,
    "torch-fp16": 0.999,
    "openvino": 0.9999,
    "openvino-w8": 0.99,
    "openvino-int8": 0.97,
}

_LENGTH_TOLERANCE: Final = 0.1  # of a pooled vector, relative. A normalised vector has length 1


def probe_texts(version: ModelVersion) -> tuple[str, ...]:
    """The probes as the model sees them: with the prompts of the version."""
    return tuple(version.prompts.of(role) + text for role, text in PROBES)


def cosines(vectors: NDArray[np.float32], references: NDArray[np.float32]) -> NDArray[np.float64]:
    """The cosine of each row with the same row of `references`. NaN if one of them is not a usable vector."""
    wide, reference = vectors.astype(np.float64), references.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(reference, axis=1)
        found: NDArray[np.float64] = (wide * reference).sum(axis=1) / lengths
    return found


def check(version: ModelVersion, backend: str, vectors: NDArray[np.float32], references: NDArray[np.float32]) -> None:
    """Compare the pooled vectors of the probes with their references.

    Raises ConfigurationError, which names the model, the back end, the probe and the difference.
    """
    who = f"self-test of model [{version.id}] on back end [{backend}] failed"
    if vectors.shape != references.shape:
        raise ConfigurationError(f"{who}: it computes {_shape(vectors)}, the references are {_shape(references)}")
    least = _LEAST_COSINE[backend]
    for number, cosine in enumerate(cosines(vectors, references)):
        if not cosine >= least:  # also true for NaN
            raise ConfigurationError(f"{who}: probe {number} has cosine {cosine:.6f} to float32, not {least} or more")
        length, expected = np.linalg.norm(vectors[number]), np.linalg.norm(references[number])
        if abs(length / expected - 1) > _LENGTH_TOLERANCE:
            raise ConfigurationError(f"{who}: the vector of probe {number} has length {length:.4f}, not {expected:.4f}")


def _shape(vectors: NDArray[np.float32]) -> str:
    return " x ".join(map(str, vectors.shape))
