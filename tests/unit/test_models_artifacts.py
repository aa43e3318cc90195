from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError
from sidecar.models.artifacts import ArtifactFacts, ArtifactStore, Distance, read_manifest
from sidecar.models.catalogue import shipped_versions

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
OTHER = MINILM.model_copy(update={"max_tokens": 128})  # the same id, another space
FACTS = ArtifactFacts(pad_id=0, tools={"t": "1"}, distance=Distance(texts=1, cosine_min=0.99, cosine_mean=0.999))


def make(folder: Path) -> ArtifactFacts:
    (folder / "model.bin").write_bytes(b"weights")
    return FACTS


def fail(folder: Path) -> ArtifactFacts:
    (folder / "model.bin").write_bytes(b"half of the wei")
    raise ConfigurationError("the power is gone")


def test_what_is_installed_is_found(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    assert store.built(MINILM) == ()
    installed = store.install(MINILM, "openvino-w8", make)
    assert store.open(MINILM, "openvino-w8") == installed
    assert store.built(MINILM) == ("openvino-w8",)
    assert (installed.folder / "model.bin").read_bytes() == b"weights"
    assert installed.manifest.distance == FACTS.distance


def test_building_again_replaces_what_was_there(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    (store.install(MINILM, "openvino", make).folder / "left").write_bytes(b"over")
    folder = store.install(MINILM, "openvino", make).folder
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.bin"]


def test_a_build_that_fails_leaves_what_was_there_and_nothing_of_its_own(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    installed = store.install(MINILM, "openvino", make)
    with pytest.raises(ConfigurationError, match="the power is gone"):
        store.install(MINILM, "openvino", fail)
    assert store.open(MINILM, "openvino") == installed
    assert [path.name for path in installed.folder.parent.iterdir()] == ["openvino"]


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        pytest.param("model.bin", b"Weights", "model.bin is damaged", id="another byte"),
        pytest.param("model.bin", None, "model.bin is damaged.*no such file", id="no file"),
        pytest.param("manifest.json", b"{}", "cannot be read as the manifest", id="a manifest of another kind"),
        pytest.param("manifest.json", None, "is not built.*sidecar model build all-minilm", id="no manifest"),
    ],
)
def test_a_damaged_artifact_is_not_opened(file: str, content: bytes | None, problem: str, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    path = store.install(MINILM, "openvino", make).folder / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem):
        store.open(MINILM, "openvino")


def test_an_artifact_of_another_space_is_not_taken(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    store.install(OTHER, "openvino", make)
    assert store.built(MINILM) == ()
    with pytest.raises(ConfigurationError, match="from space"):
        store.open(MINILM, "openvino")


def test_the_manifest_names_the_version_the_space_and_the_hashes(tmp_path: Path) -> None:
    manifest = read_manifest(ArtifactStore(tmp_path).install(MINILM, "openvino", make).folder)
    assert (manifest.model, manifest.space, manifest.backend) == (MINILM.id, MINILM.space, "openvino")
    assert list(manifest.files) == ["model.bin"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "backends").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"models\.dir"):
        ArtifactStore(tmp_path).install(MINILM, "openvino", make)
