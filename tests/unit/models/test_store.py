"""The store over folders whose weights are a few bytes: hashes do not care."""

import json
from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError, Conflict, InvalidInput, ModelNotFound
from sidecar.model import SpaceType
from sidecar.models.store import MANIFEST, ModelStore


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_model(tmp_path / "source")


def make_model(folder: Path, *, weights: bytes = b"weights", dimension: int = 8) -> Path:
    documents = {
        "modules.json": [
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
        "sentence_bert_config.json": {"max_seq_length": 16},
        "config_sentence_transformers.json": {"prompts": {"query": "q: "}, "similarity_fn_name": "dot"},
        "1_Pooling/config.json": {"word_embedding_dimension": dimension, "pooling_mode_cls_token": True},
        "tokenizer.json": {"model": {"vocab": {"a": 0}}, "truncation": {"max_length": 4}},
    }
    (folder / "1_Pooling").mkdir(parents=True)
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "run_me.py").write_text("raise SystemExit")
    return folder


def test_adding_copies_what_is_needed_and_describes_it(source: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    added = store.add("tiny", str(source))
    assert added.folder == tmp_path / "models" / "tiny@1"
    assert (added.folder / MANIFEST).is_file()
    assert not (added.folder / "run_me.py").exists()
    version, folder = store.open("tiny")
    assert (version, folder) == (added.version, added.folder)
    assert (version.id, version.dimension, version.max_tokens, version.pooling) == ("tiny@1", 8, 16, "cls")
    assert (version.normalized, version.prompts.query, version.space_type) == (False, "q: ", SpaceType.INNERPRODUCT)


def test_adding_the_same_files_again_changes_nothing(source: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    assert store.add("tiny", str(source)) == store.add("tiny", str(source))


def test_an_id_never_changes_its_meaning(source: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    store.add("tiny", str(source))
    other = str(make_model(tmp_path / "other", weights=b"other"))
    with pytest.raises(Conflict, match="--id tiny@2"):
        store.add("tiny", other)
    store.add("tiny", other, version_id="tiny@2")
    with pytest.raises(InvalidInput, match=r"\[tiny\] may be tiny@1 or tiny@2"):
        store.find("tiny")
    assert store.find("tiny@2").version.space != store.find("tiny@1").version.space


def test_a_shipped_id_cannot_be_taken_by_other_files(source: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="already names the space"):
        ModelStore(tmp_path / "models").add("tiny", str(source), version_id="all-minilm-l6-v2@1")


def test_files_that_are_not_the_catalogues_model_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"dimension: is \[8\] in these files, but \[768\]"):
        ModelStore(tmp_path / "models").add("allenai-specter", str(source))
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        pytest.param("model.safetensors", b"damaged", "model.safetensors has hash", id="damaged weights"),
        pytest.param("tokenizer.json", b"{}", "tokenizer.json has hash", id="another tokenizer"),
        pytest.param("model.safetensors", None, "model.safetensors is missing", id="missing weights"),
        pytest.param(
            "1_Pooling/config.json",
            b'{"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true}',
            r"pooling is \[mean\]",
            id="another pooling",
        ),
    ],
)
def test_opening_verifies_the_files(
    source: Path, tmp_path: Path, file: str, content: bytes | None, problem: str
) -> None:
    store = ModelStore(tmp_path / "models")
    folder = store.add("tiny", str(source)).folder
    assert folder is not None
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem):
        store.open("tiny@1")


def test_another_truncation_in_tokenizer_json_is_the_same_tokenizer(source: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    folder = store.add("tiny", str(source)).folder
    assert folder is not None
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}, "padding": {}}))
    store.open("tiny@1")


def test_unknown_models_and_files_that_are_not_here(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    with pytest.raises(ModelNotFound, match="known: all-minilm-l6-v2@1, all-mpnet-base-v2@1"):
        store.find("word2vec")
    with pytest.raises(ConfigurationError, match="sidecar model add all-mpnet-base-v2 --from DIR"):
        store.open("all-mpnet-base-v2")


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        pytest.param("{}", "cannot be read as a model version", id="not a manifest"),
        pytest.param(None, r"does not match the name of its folder", id="another id"),
    ],
)
def test_a_bad_manifest_is_named(source: Path, tmp_path: Path, manifest: str | None, problem: str) -> None:
    store = ModelStore(tmp_path / "models")
    folder = store.add("tiny", str(source)).folder
    assert folder is not None
    if manifest is None:
        folder.rename(folder.with_name("other@1"))
    else:
        (folder / MANIFEST).write_text(manifest)
    with pytest.raises(ConfigurationError, match=problem):
        store.known()


@pytest.mark.parametrize(
    ("name", "version_id", "problem"),
    [
        pytest.param("Tiny", None, r"must look like \[Tiny@1\]", id="upper case"),
        pytest.param("tiny", "tiny", "must look like", id="no number"),
    ],
)
def test_ids_are_checked(source: Path, tmp_path: Path, name: str, version_id: str | None, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        ModelStore(tmp_path / "models").add(name, str(source), version_id=version_id)


def test_a_folder_without_weights_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "model.safetensors").unlink()
    with pytest.raises(InvalidInput, match=r"holds no model\.safetensors"):
        ModelStore(tmp_path / "models").add("tiny", str(source))
