"""The torch back ends on a GPU. Skipped where there is none."""

import numpy as np
import pytest
import torch

from sidecar.embedding.backends.computing import compute_each
from sidecar.embedding.backends.torch import TorchBackend
from sidecar.embedding.loading.models import LoadedModel, self_test, shipped_references
from sidecar.embedding.loading.selftest import cosines
from sidecar.models.store import ModelStore
from tests.support.computing import backend_of, load_here

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here"),
    pytest.mark.xdist_group("whole machine"),
]

MINILM = "all-minilm-l6-v2@1"


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_here(f"{MINILM}/torch-fp16", ModelStore(tmp_path_factory.mktemp("none")))


async def test_half_precision_passes_the_self_test(half: LoadedModel) -> None:
    await self_test(half.version, half.backend, half.tokenizer, shipped_references(half.version))


def test_the_size_of_batches_is_measured(half: LoadedModel) -> None:
    assert half.backend.batch_tokens >= 2_048


def test_what_does_not_fit_is_halved(half: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text.ids for text in half.tokenizer.encode([f"text {number} " * 20 for number in range(16)])]
    backend = backend_of(half)
    expected = backend.compute(texts)
    compute = TorchBackend._compute

    def small(self: TorchBackend, modules: object, batch: list[object]) -> object:
        if len(batch) > 4:
            raise torch.OutOfMemoryError
        return compute(self, modules, batch)

    monkeypatch.setattr(TorchBackend, "_compute", small)
    outcome = compute_each(backend, texts)
    assert not outcome.failures
    assert cosines(outcome.pooled, expected).min() > 0.999


def test_float32_is_at_hand_for_what_overflows(half: LoadedModel) -> None:
    (text,) = (text.ids for text in half.tokenizer.encode(["hello"]))
    exact = backend_of(half).compute_in_float32(text)
    assert exact.dtype == np.float32
    assert cosines(exact[None], backend_of(half).compute([text]))[0] > 0.999
