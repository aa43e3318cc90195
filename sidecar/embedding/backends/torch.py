"""PyTorch on the CPU, through sentence-transformers."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import Backend
from sidecar.model import ModelVersion

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


def load(version: ModelVersion, folder: Path, threads: int) -> Backend:
    """Load from local files only. Takes seconds, most of them the import of the libraries."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported: no call to a hub, whatever is missing
    import torch  # noqa: PLC0415 - seconds; only when a model is loaded
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(threads)
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, trust_remote_code=False)
    model.max_seq_length = version.max_tokens
    return TorchBackend(model.float().eval())


class TorchBackend:
    """The modules of a SentenceTransformer but its normalisation, which a request may switch off."""

    name = "torch"
    deterministic = False  # the companions of a text move its vector by some 1e-7
    bucket_tokens = 0

    def __init__(self, model: "SentenceTransformer") -> None:
        self._modules = [module for module in model if type(module).__name__ != "Normalize"]
        self.pad_id = int(model.tokenizer.pad_token_id or 0)

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """One pooled vector a text; the batch is padded to its longest text."""
        import torch  # noqa: PLC0415 - it is loaded by now

        lengths = np.array([len(ids) for ids in batch])
        mask = np.arange(lengths.max()) < lengths[:, None]
        padded = np.full(mask.shape, self.pad_id, dtype=np.int64)
        padded[mask] = np.concatenate(batch)
        features = {"input_ids": torch.from_numpy(padded), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
        with torch.inference_mode():
            for module in self._modules:
                features = module(features)
        pooled: NDArray[np.float32] = features["sentence_embedding"].numpy()
        return pooled

    def traceable(self) -> "tuple[torch.nn.Module, tuple[torch.Tensor, torch.Tensor]]":
        """The same computation as a module of two inputs, token ids and mask, and an example of these.

        The example holds padding: attention to a mask without any is traced as attention without a mask.
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
