"""OpenVINO on the CPU, from an artifact that `sidecar model build` made. Neither torch nor transformers is needed.

The padded length of a text changes its vector (by 5e-3 for 8-bit models, 2e-7 in float32). The other texts and the size
of the batch do not. So a text is padded to the next multiple of `bucket_tokens`, and its vector depends on it alone.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import Backend
from sidecar.embedding.batching import padded

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest

MODEL_FILE: Final = "model.xml"

_PROPERTIES: Final[dict[str, dict[str, str]]] = {
    "openvino": {},
    # Activations are quantised while computing, 128 at a time with a scale of their own.
    "openvino-w8": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "128"},
    "openvino-int8": {},
}


def without_telemetry() -> None:
    """Keep OpenVINO and NNCF from calling home: importing either would send events to Google Analytics.

    If they cannot import the package for that, they behave as if it were not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def load(name: str, folder: Path, *, max_tokens: int, pad_id: int, threads: int) -> Sequence[Backend]:
    """Compile the artifact in `folder`, whose files have been verified, for this CPU. One back end a stream.

    Several streams of one or two threads each compute more than one batch on all threads would: a fifth more on two
    CPUs. A query also waits less for two short batches than for a long one.
    """
    without_telemetry()
    import openvino  # noqa: PLC0415 - most of a second; only where a model is loaded

    streams = count_streams(threads)
    core = openvino.Core()
    properties = {
        "INFERENCE_PRECISION_HINT": "f32",  # otherwise bfloat16 if the CPU has it, with a cosine of .998
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(threads),
        **_PROPERTIES[name],
    }
    compiled = core.compile_model(folder / MODEL_FILE, "CPU", properties)

    def compile_in_float32() -> "CompiledModel":
        return core.compile_model(folder / MODEL_FILE, "CPU", {**properties, "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"})

    in_float32 = compile_in_float32 if "DYNAMIC_QUANTIZATION_GROUP_SIZE" in properties else None
    return [OpenVinoBackend(compiled, in_float32, pad_id=pad_id, max_tokens=max_tokens) for _ in range(streams)]


def count_streams(threads: int) -> int:
    """The number of streams for so many threads: one thread each, or two threads each from five threads on."""
    return threads if threads <= 4 else threads // 2


class OpenVinoBackend:
    """A compiled model that takes token ids and an attention mask and gives pooled vectors."""

    deterministic = True
    bucket_tokens = 16
    batch_tokens = 0

    def __init__(
        self,
        compiled: "CompiledModel",
        compile_in_float32: "Callable[[], CompiledModel] | None",
        *,
        pad_id: int,
        max_tokens: int,
    ) -> None:
        self._request = compiled.create_infer_request()
        self._compile_in_float32 = compile_in_float32
        self._pad_id = pad_id
        self._max_tokens = max_tokens

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """One pooled vector a text. The batch is padded to the bucket of its longest text."""
        return self._infer(self._request, batch)

    def compute_in_float32(self, ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        """The pooled vector of one text without quantised activations. None for openvino-int8: it has no other way."""
        if self._compile_in_float32 is None:
            return None
        vector: NDArray[np.float32] = self._infer(self._compile_in_float32().create_infer_request(), [ids])[0]
        return vector

    def _infer(self, request: "InferRequest", batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        longest = max(len(ids) for ids in batch)
        length = padded_tokens(longest, bucket_tokens=self.bucket_tokens, max_tokens=self._max_tokens)
        pooled: NDArray[np.float32] = request.infer(padded_batch(batch, length, self._pad_id))[0]
        return pooled


def padded_tokens(tokens: int, *, bucket_tokens: int, max_tokens: int) -> int:
    """The length of a text after padding. It stays within the limit, as a model may have no positions beyond it."""
    return min(padded(tokens, bucket_tokens), max_tokens)


def padded_batch(
    batch: Sequence[NDArray[np.int32]], length: int, pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The token ids of the texts in rows of one length, and the mask, which is 0 for padding."""
    mask = np.arange(length) < np.array([len(ids) for ids in batch])[:, None]
    rows = np.full(mask.shape, pad_id, dtype=np.int64)
    rows[mask] = np.concatenate(batch)
    return rows, mask.astype(np.int64)
