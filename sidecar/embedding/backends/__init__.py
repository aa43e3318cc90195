"""What computes vectors. A new back end is one file here and its line in `_LOADERS`."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.model import ModelVersion


class Backend(Protocol):
    """One model version, loaded. Called by one thread at a time."""

    name: str
    deterministic: bool  # the same text gives the same bits alone, in any batch and after a restart

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """One pooled vector a text, neither cut nor normalised. Whatever it raises fails the texts of this batch."""
        ...


_LOADERS: Final = {"torch": "sidecar.embedding.backends.torch"}  # each has load(version, folder, threads)

DEFAULT: Final = "torch"


def parse_model(spec: str) -> tuple[str, str]:
    """`MODEL` or `MODEL/BACKEND` as model and back end. Raises InvalidInput."""
    model, _, backend = spec.partition("/")
    backend = backend or DEFAULT
    if backend not in _LOADERS:
        raise InvalidInput("model", f"[{spec}]: back end [{backend}] is not known; known: {', '.join(_LOADERS)}")
    return model, backend


def load_backend(name: str, version: ModelVersion, folder: Path, *, threads: int) -> Backend:
    """Load a model version into a back end. Raises ConfigurationError if its library is not installed."""
    try:
        module = import_module(_LOADERS[name])
        load = cast("Callable[[ModelVersion, Path, int], Backend]", module.load)
        return load(version, folder, threads)
    except ImportError as error:
        raise ConfigurationError(f"back end [{name}] needs the extra [embedder]: {error}") from error
