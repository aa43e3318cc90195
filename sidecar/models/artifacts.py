"""What was built from a model version for one back end: found, verified, installed. `loading/building.py` builds.

An artifact is a folder `MODELS/backends/VERSION/BACKEND`: beside the folders of the versions, whose files may lie in an
installed package and belong to it. It is a link to `builds/BACKEND-RANDOM` beside it: a link can be replaced at one
stroke, so that a build that is killed at any moment leaves the old artifact or the new one.
"""

import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sidecar.errors import ConfigurationError
from sidecar.files import file_digest, locked
from sidecar.model import ModelVersion

MANIFEST: Final = "manifest.json"
_FOLDER: Final = "backends"  # no version can be called so: an id has an @
_BUILDS: Final = "builds"  # nor a back end
_LOCK: Final = "lock"


class Distance(BaseModel):
    """How far the vectors of a back end are from those of the weights in float32, measured when it was built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: int
    cosine_min: float
    cosine_mean: float


class ArtifactFacts(BaseModel):
    """What a build found out, and what a back end must know to load what it made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pad_id: int
    tools: dict[str, str]  # name and version of what built it
    distance: Distance


class ArtifactManifest(ArtifactFacts):
    """`manifest.json` of an artifact."""

    schema_version: Literal[1] = 1
    model: str
    space: str  # of the version that it was built from
    backend: str
    files: dict[str, str]  # name -> SHA-256


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact on this machine."""

    manifest: ArtifactManifest
    folder: Path


def read_manifest(folder: Path) -> ArtifactManifest:
    """The manifest of an artifact's folder. Raises ConfigurationError."""
    path = folder / MANIFEST
    try:
        return ArtifactManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} cannot be read as the manifest of an artifact: {error}") from error


class ArtifactStore:
    """The artifacts of one machine."""

    def __init__(self, models: Path) -> None:
        self._directory = models / _FOLDER

    def built(self, version: ModelVersion) -> tuple[str, ...]:
        """The back ends that this version has been built for. Raises ConfigurationError for a broken manifest."""
        manifests = sorted((self._directory / version.id).glob(f"*/{MANIFEST}"))
        return tuple(path.parent.name for path in manifests if read_manifest(path.parent).space == version.space)

    def open(self, version: ModelVersion, backend: str) -> Artifact:
        """The artifact of a version for a back end, after its files have been compared with its manifest.

        Raises ConfigurationError if there is none, or it was built from other files or has been damaged.
        """
        # Resolved: a build that ends meanwhile must not give us one file of the old artifact and one of the new.
        folder = (self._directory / version.id / backend).resolve()
        if not (folder / MANIFEST).is_file():
            raise ConfigurationError(
                f"model [{version.id}] is not built for back end [{backend}]; {_advice(version, backend)}"
            )
        manifest = read_manifest(folder)
        if (manifest.space, manifest.backend) != (version.space, backend):
            raise ConfigurationError(
                f"{folder} was built for back end [{manifest.backend}] from space [{manifest.space}], "
                f"but model [{version.id}] has [{version.space}]; {_advice(version, backend)}"
            )
        for name, expected in manifest.files.items():
            path = folder / name
            actual = file_digest(path) if path.is_file() else "no such file"
            if actual != expected:
                raise ConfigurationError(
                    f"{path} is damaged (SHA-256 {actual}, built with {expected}); {_advice(version, backend)}"
                )
        return Artifact(manifest, folder)

    def shared_file(self, version: ModelVersion, name: str) -> Path | None:
        """A file that a version's artifacts for all back ends have alike, from the first in which it is intact."""
        for path in sorted((self._directory / version.id).glob(f"*/{name}")):
            with suppress(ConfigurationError):  # of another back end than the one that is wanted: not its trouble
                manifest = read_manifest(path.parent)
                if manifest.space == version.space and manifest.files.get(name) == file_digest(path):
                    return path
        return None

    def install(self, version: ModelVersion, backend: str, make: Callable[[Path], ArtifactFacts]) -> Artifact:
        """Let `make` write the files into an empty folder, and put it in its place when it is complete.

        What was there before is replaced: two builds of one version are as good as each other, and wait for each other.
        Raises ConfigurationError, and whatever `make` raises.
        """
        place = self._directory / version.id
        try:
            (place / _BUILDS).mkdir(parents=True, exist_ok=True)
            with locked(place / _BUILDS / _LOCK):
                _sweep(place)
                try:
                    folder = place / _BUILDS / f"{backend}-{secrets.token_hex(4)}"
                    folder.mkdir()
                    facts = make(folder)
                    manifest = ArtifactManifest(
                        **facts.model_dump(),
                        model=version.id,
                        space=version.space,
                        backend=backend,
                        files={path.name: file_digest(path) for path in sorted(folder.iterdir())},
                    )
                    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")
                    _point(place / backend, folder)
                finally:
                    _sweep(place)
        except OSError as error:
            raise ConfigurationError(f"models.dir {self._directory}: {error}") from error
        return Artifact(manifest, folder.resolve())


def _point(link: Path, folder: Path) -> None:
    if link.is_dir() and not link.is_symlink():  # a copy of an artifact, made by hand: no link replaces a folder
        link.rename(folder.with_suffix(".replaced"))
    new = folder.with_suffix(".link")
    new.symlink_to(Path(_BUILDS, folder.name))  # relative to where it will be: the models may be moved
    new.replace(link)


def _sweep(place: Path) -> None:
    """Remove what no link points to: what has been replaced, and what killed and failed builds have left."""
    linked = {path.readlink().name for path in place.iterdir() if path.is_symlink()}
    for path in (place / _BUILDS).iterdir():
        if path.is_symlink():
            path.unlink()
        elif path.is_dir() and path.name not in linked:
            shutil.rmtree(path)


def _advice(version: ModelVersion, backend: str) -> str:
    return f"sidecar model build {version.id} --backend {backend}"
