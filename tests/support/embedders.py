"""Doubles of the embedder, only for what the real one cannot be made to do."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sidecar.errors import SidecarError
from sidecar.model import ModelVersion, Role
from sidecar.ports import EmbeddedText, Embeddings, Lane, ServedModel


@dataclass
class HashEmbedder:
    """Vectors that are a function of the text and mean nothing. Fails with `failure` while there is one."""

    version: ModelVersion
    failure: SidecarError | None = None
    refuses: frozenset[str] = frozenset()  # texts that get an error of their own
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        self.asked.append(tuple(texts))
        if self.failure is not None:
            raise self.failure
        rows = [self._vector(text) for text in texts]
        items = tuple(
            EmbeddedText(-1, error="refused") if text in self.refuses else EmbeddedText(row, tokens=len(text))
            for row, text in enumerate(texts)
        )
        return Embeddings(model, self.version.space, "hash", np.stack(rows), items)

    async def models(self) -> tuple[ServedModel, ...]:
        if self.failure is not None:
            raise self.failure
        return (ServedModel(self.version, "hash"),)

    def _vector(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        vector = np.random.default_rng(seed).standard_normal(self.version.dimension).astype(np.float32)
        return vector / np.linalg.norm(vector)  # type: ignore[no-any-return]
