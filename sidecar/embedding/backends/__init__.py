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
    bucket_tokens: int  # 0: any lengths may meet in a batch; else only those that round up to the same multiple of it
    batch_tokens: int  # a larger batch is not quicker for each text; 0: not measured, the setting is right

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """One pooled vector a text, neither cut nor normalised. May raise whatever its library raises.

        With `bucket_tokens`, the batch is padded to that common multiple: the vector of a text then depends on nothing
        but the text. A batch that mixes buckets is computed too, but its vectors may differ in their last bits.
        """
        ...

    def compute_in_float32(self, ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        """The pooled vector of one text with every value in float32; None if `compute` does so or nothing can."""
        ...


AUTO: Final = "auto"

# Back end -> its module, which has load(name, folder, max_tokens=, pad_id=, threads=), and the extra that installs its
# library. `folder` is the model's own for those of torch, that of the artifact for the others.
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
    """What `auto` means on this machine, from the back ends that the version is built for: pure.

    8-bit weights lose nothing that shows in rankings, but are only quicker where the CPU multiplies bytes (VNNI).
    `openvino-int8` is never chosen: its loss is small, but not proven to be.
    """
    if has_vnni and "openvino-w8" in built:
        return "openvino-w8"
    return "openvino" if "openvino" in built else "torch"


def load_backend(name: str, folder: Path, *, max_tokens: int, pad_id: int, threads: int) -> Sequence[Backend]:
    """Load a model version into a back end: as many as may compute at the same time within `threads`.

    `pad_id` is told by the artifact; torch knows its own. Raises ConfigurationError if its library is not installed.
    """
    module, extra = _LOADERS[name]
    try:
        load = cast("Callable[..., Sequence[Backend]]", import_module(module).load)
        return load(name, folder, max_tokens=max_tokens, pad_id=pad_id, threads=threads)
    except ImportError as error:
        raise ConfigurationError(f"back end [{name}] needs the extra [{extra}]: {error}") from error
