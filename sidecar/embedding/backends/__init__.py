"""What computes vectors. A new back end is one file here and its lines in `_LOADERS`."""

from collections.abc import Callable, Collection, Sequence
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
    bucket_tokens: int  # 0: any lengths may meet in a batch; else only those that round up to the same multiple of it

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """One pooled vector a text, neither cut nor normalised. Whatever it raises fails the texts of this batch.

        With `bucket_tokens`, the batch is padded to that common multiple: the vector of a text then depends on nothing
        but the text. A batch that mixes buckets is computed too, but its vectors may differ in their last bits.
        """
        ...


AUTO: Final = "auto"

# Back end -> its module, which has load(version, folder, threads), and the extra that installs its library. `folder` is
# the model's own for torch, that of the artifact for the others.
_LOADERS: Final = {
    "torch": ("sidecar.embedding.backends.torch", "embedder"),
    "openvino": ("sidecar.embedding.backends.openvino", "openvino"),
    "openvino-w8": ("sidecar.embedding.backends.openvino", "openvino"),
    "openvino-int8": ("sidecar.embedding.backends.openvino", "openvino"),
}

BUILT: Final = tuple(name for name in _LOADERS if name != "torch")  # need an artifact of `sidecar model build`


def parse_model(spec: str) -> tuple[str, str]:
    """`MODEL` or `MODEL/BACKEND` as model and back end. Raises InvalidInput."""
    model, _, backend = spec.partition("/")
    backend = backend or AUTO
    if backend not in {AUTO, *_LOADERS}:
        known = ", ".join((AUTO, *_LOADERS))
        raise InvalidInput("model", f"[{spec}]: back end [{backend}] is not known; known: {known}")
    return model, backend


def choose_backend(built: Collection[str], *, has_vnni: bool) -> str:
    """What `auto` means on this machine, from the back ends that the version is built for: pure.

    8-bit weights lose nothing that shows in rankings, but are only quicker where the CPU multiplies bytes (VNNI).
    `openvino-int8` is never chosen: its loss is small, but not proven to be.
    """
    if has_vnni and "openvino-w8" in built:
        return "openvino-w8"
    return "openvino" if "openvino" in built else "torch"


def load_backend(name: str, version: ModelVersion, folder: Path, *, threads: int) -> Backend:
    """Load a model version into a back end. Raises ConfigurationError if its library is not installed."""
    module, extra = _LOADERS[name]
    try:
        load = cast("Callable[[ModelVersion, Path, int], Backend]", import_module(module).load)
        return load(version, folder, threads)
    except ImportError as error:
        raise ConfigurationError(f"back end [{name}] needs the extra [{extra}]: {error}") from error
