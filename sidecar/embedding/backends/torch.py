"""PyTorch through sentence-transformers, on a GPU if there is one, otherwise on the CPU."""

import copy
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import Backend
from sidecar.embedding.batching import best_batch_tokens
from sidecar.errors import ConfigurationError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


_SWEEP_TOKENS: Final = tuple(2**power for power in range(11, 18))  # the sizes of batches that are tried on a GPU


def load(name: str, folder: Path, *, max_tokens: int, pad_id: int, threads: int) -> Sequence[Backend]:  # noqa: ARG001
    """Load from local files only, with the padding of the tokenizer there. Takes seconds, mostly for imports."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # the libraries read it at their import, and then never call a hub
    import torch  # noqa: PLC0415 - seconds; only when a model is loaded
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = name == "torch-fp16"
    if half and device == "cpu":
        raise ConfigurationError(f"back end [{name}] needs a GPU that torch can use; there is none")
    model = SentenceTransformer(str(folder), device=device, local_files_only=True, trust_remote_code=False)
    model.max_seq_length = max_tokens
    model = model.eval()
    backend = TorchBackend(model.half() if half else model.float())
    if device == "cuda":
        backend.batch_tokens = best_batch_tokens(lambda tokens: _seconds(backend, tokens, max_tokens), _SWEEP_TOKENS)
    return [backend]


def _seconds(backend: "TorchBackend", tokens: int, max_tokens: int) -> float | None:
    """How long a batch of so many tokens takes, in texts of the greatest length. None if memory has no room for it."""
    import torch  # noqa: PLC0415 - it is loaded by now

    batch = [np.full(max_tokens, backend.pad_id + 1, np.int32)] * max(tokens // max_tokens, 1)
    try:
        backend.compute(batch)  # the first one of a size chooses kernels
        started = time.perf_counter()
        backend.compute(batch)
        return time.perf_counter() - started
    except torch.OutOfMemoryError:
        return None


class TorchBackend:
    """The modules of a SentenceTransformer without its normalisation, which a request may switch off."""

    deterministic = False  # the other texts of a batch change the vector of a text by some 1e-7
    bucket_tokens = 0
    batch_tokens = 0

    def __init__(self, model: "SentenceTransformer") -> None:
        self._modules = [module for module in model if type(module).__name__ != "Normalize"]
        self._device = model.device
        self._half = next(model.parameters()).dtype.itemsize == 2
        self.pad_id = int(model.tokenizer.pad_token_id or 0)

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """One pooled vector a text. The batch is padded to its longest text."""
        import torch  # noqa: PLC0415 - it is loaded by now

        try:
            return self._compute(self._modules, batch)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()  # the next try is smaller, but may not fit between the pieces of this one
            raise

    def compute_in_float32(self, ids: NDArray[np.int32]) -> NDArray[np.float32] | None:
        """The pooled vector of one text by a copy of the modules in float32. None if they already are in float32."""
        if not self._half:
            return None
        vector: NDArray[np.float32] = self._compute([copy.deepcopy(one).float() for one in self._modules], [ids])[0]
        return vector

    def _compute(self, modules: "Sequence[torch.nn.Module]", batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        import torch  # noqa: PLC0415 - it is loaded by now

        lengths = np.array([len(ids) for ids in batch])
        mask = np.arange(lengths.max()) < lengths[:, None]
        padded = np.full(mask.shape, self.pad_id, dtype=np.int64)
        padded[mask] = np.concatenate(batch)
        features = {"input_ids": torch.from_numpy(padded), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
        with torch.inference_mode():
            features = {name: tensor.to(self._device) for name, tensor in features.items()}
            for module in modules:
                features = module(features)
            pooled: NDArray[np.float32] = features["sentence_embedding"].float().cpu().numpy()
        return pooled

    def traceable(self) -> "tuple[torch.nn.Module, tuple[torch.Tensor, torch.Tensor]]":
        """The same computation as a module with two inputs, token ids and mask, and an example of the inputs.

        The example holds padding, because without any the mask would be left out of the trace.
        """
        import torch  # noqa: PLC0415 - it is loaded by now

        modules = self._modules

        class Pooled(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = torch.nn.ModuleList(modules)

            def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
                features = {"input_ids": input_ids, "attention_mask": attention_mask}
                for module in self.inner:
                    features = module(features)
                return features["sentence_embedding"]

        mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
        ids = torch.where(mask == 1, torch.arange(4) + self.pad_id + 1, self.pad_id)
        return Pooled().eval(), (ids, mask)
