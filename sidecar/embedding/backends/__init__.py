"""The libraries that compute vectors. A new back end is one file here and its lines in `_LOADERS`.

__init__.py   what a back end is, and which one `auto` means
computing.py  computes a batch so that one bad text fails alone; `Computing` is a model as the queue sees it
torch.py      PyTorch, on a GPU or on the CPU
openvino.py   OpenVINO on the CPU, from an artifact

A bucket holds the lengths that are padded to the same multiple. A batch never mixes buckets.
"""

from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sidecar.errors import ConfigurationError, InvalidInput


class Backend(Protocol):
    """One model version, loaded. Called by one thread at a time."""

    deterministic: bool  # the same text gives the same bits alone, in any batch and after a restart
    bucket_tokens: int  # a batch holds only lengths that round up to the same multiple of it. 0: any lengths
    batch_tokens: int  # in a larger batch no text is quicker. 0: not measured, so the setting counts

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """One pooled vector a text, neither cut nor normalised. May raise any error of its library.

        With `bucket_tokens`, the batch is padded to the common multiple, so that the vector of a text depends on the
        text alone. A batch that mixes buckets is computed as well, but its vectors may differ in their last bits.
        """
        ...

    def compute_in_float32(self, ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        """The pooled vector of one text with every value in float32. None if that would change nothing."""
        ...


AUTO: Final = "auto"

# Back end -> its module, which has load(name, folder, max_tokens=, pad_id=, threads=), and the extra that installs its
# library. `folder` is the model's own for the back ends of torch, and the artifact's for the others.
_LOADERS: Final = {
    "torch": ("sidecar.embedding.backends.torch", "embedder"),
    "torch-fp16": ("sidecar.embedding.backends.torch", "embedder"),
    "openvino": ("sidecar.embedding.backends.openvino", "openvino"),
    "openvino-w8": ("sidecar.embedding.backends.openvino", "openvino"),
    "openvino-int8": ("sidecar.embedding.backends.openvino", "openvino"),
}

BUILT: Final = tuple(name for name in _LOADERS if name.startswith("openvino"))  # need `sidecar model build`


def parse_model(spec: str) -> tuple[str, str]:
    """`MODEL` or `MODEL/BACKEND` as model and back end. Raises InvalidInput."""
    model, _, backend = spec.partition("/")
    backend = backend or AUTO
    if backend not in {AUTO, *_LOADERS}:
        known = ", ".join((AUTO, *_LOADERS))
        raise InvalidInput("model", f"[{spec}]: back end [{backend}] is not known; known: {known}")
    return model, backend


def choose_backend(built: Collection[str], *, has_vnni: bool) -> str:
    """The back end that `auto` means on this machine, from those that the version is built for.

    8-bit weights do not change rankings, but they are only quicker if the CPU multiplies bytes (VNNI). `openvino-int8`
    is never chosen: its loss seems small, but that is not proven.
    """
    if has_vnni and "openvino-w8" in built:
        return "openvino-w8"
    return "openvino" if "openvino" in built else "torch"


def load_backend(name: str, folder: Path, *, max_tokens: int, pad_id: int, threads: int) -> Sequence[Backend]:
    """Load a model version. The value holds one back end for each batch that may be computed at once with `threads`.

    `pad_id` comes from the artifact, and torch knows its own. Raises ConfigurationError if a library is not installed.
    """
    module, extra = _LOADERS[name]
    try:
        load = cast("Callable[..., Sequence[Backend]]", import_module(module).load)
        return load(name, folder, max_tokens=max_tokens, pad_id=pad_id, threads=threads)
    except ImportError as error:
        raise ConfigurationError(f"back end [{name}] needs the extra [{extra}]: {error}") from error
