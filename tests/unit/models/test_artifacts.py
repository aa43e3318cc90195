import shutil
import subprocess
import sys
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


def builds(models: Path) -> list[str]:
    """The folders of artifacts, whether a link points to them or not."""
    return sorted(path.name for path in (models / "backends" / MINILM.id / "builds").iterdir() if path.name != "lock")


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
    assert builds(tmp_path) == [folder.name]


def test_artifacts_of_several_back_ends_stand_beside_each_other(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    both = [store.install(MINILM, backend, make) for backend in ("openvino", "openvino-w8")]
    assert store.built(MINILM) == ("openvino", "openvino-w8")
    assert [store.open(MINILM, one.manifest.backend) for one in both] == both


def test_an_artifact_that_was_copied_by_hand_is_found_and_replaced(tmp_path: Path) -> None:
    installed = ArtifactStore(tmp_path / "here").install(MINILM, "openvino", make)
    shutil.copytree(installed.folder, tmp_path / "there" / "backends" / MINILM.id / "openvino")
    store = ArtifactStore(tmp_path / "there")
    assert store.open(MINILM, "openvino").manifest == installed.manifest
    folder = store.install(MINILM, "openvino", make).folder
    assert store.open(MINILM, "openvino").folder == folder
    assert builds(tmp_path / "there") == [folder.name]


def test_models_that_are_moved_keep_their_artifacts(tmp_path: Path) -> None:
    ArtifactStore(tmp_path / "here").install(MINILM, "openvino", make)
    (tmp_path / "here").rename(tmp_path / "there")
    assert ArtifactStore(tmp_path / "there").open(MINILM, "openvino").manifest.backend == "openvino"


# Installs again and again over an artifact, in a child that kills itself at its first, second, … change to the folder;
# after each death the artifact must be the old or the new one, and the next build must leave nothing else.
KILLED_EVERYWHERE = """
import itertools, os, signal, sys
from pathlib import Path
from sidecar.models.artifacts import ArtifactFacts, ArtifactStore, Distance
from sidecar.models.catalogue import shipped_versions

version = shipped_versions()["all-minilm-l6-v2@1"]
models = Path(sys.argv[1])
store = ArtifactStore(models)
changes = {"os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.symlink"}

def make(content):
    def write(folder):
        (folder / "model.bin").write_bytes(content)
        return ArtifactFacts(pad_id=0, tools={}, distance=Distance(texts=1, cosine_min=1, cosine_mean=1))
    return write

def install_and_die(point):
    seen = itertools.count(1)
    def watch(event, arguments):
        writes = event == "open" and str(arguments[0]).startswith(str(models)) and arguments[1] in ("w", "wb")
        if (event in changes or writes) and next(seen) == point:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    store.install(version, "openvino", make(b"new"))
    os._exit(0)

for point in itertools.count(1):
    store.install(version, "openvino", make(b"old"))
    child = os.fork() or install_and_die(point)
    status = os.waitpid(child, 0)[1]
    found = (store.open(version, "openvino").folder / "model.bin").read_bytes()
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert found in (b"old", b"new")
    print(point, found.decode())
    store.install(version, "openvino", make(b"next"))
    assert len(list((models / "backends" / version.id / "builds").iterdir())) == 2
assert found == b"new"
"""


def test_a_build_that_is_killed_at_any_moment_leaves_the_old_artifact_or_the_new(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    left = [line.split()[1] for line in done.stdout.splitlines()]
    assert left == sorted(left, reverse=True)  # first always the old one, from some point on always the new one
    assert (left.count("old") >= 5, left.count("new") >= 3) == (True, True)


def test_a_file_that_all_artifacts_share_comes_from_one_that_is_intact(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    assert store.shared_file(MINILM, "model.bin") is None
    first, second = (store.install(MINILM, backend, make).folder for backend in ("openvino", "openvino-w8"))
    found = store.shared_file(MINILM, "model.bin")
    assert found is not None
    assert found.resolve() == first / "model.bin"
    (first / "model.bin").write_bytes(b"Weights")
    found = store.shared_file(MINILM, "model.bin")
    assert found is not None
    assert found.resolve() == second / "model.bin"
    (second / "manifest.json").write_text("{}")
    assert store.shared_file(MINILM, "model.bin") is None
    assert store.shared_file(MINILM, "manifest.json") is None  # no manifest vouches for itself
    assert store.shared_file(OTHER, "model.bin") is None


def test_a_build_that_fails_leaves_what_was_there_and_nothing_of_its_own(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    installed = store.install(MINILM, "openvino", make)
    with pytest.raises(ConfigurationError, match="the power is gone"):
        store.install(MINILM, "openvino", fail)
    assert store.open(MINILM, "openvino") == installed
    assert builds(tmp_path) == [installed.folder.name]


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
