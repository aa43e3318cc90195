"""Artifacts, which are built from a model version for one back end: finds, verifies and installs them.

`loading/building.py` builds them. An artifact is a folder `MODELS/backends/VERSION/BACKEND`. It is not in the folder of
its version, because that may belong to an installed package. The folder is a link to `builds/BACKEND-RANDOM` beside it.
A link can be replaced in one step, so a build that is killed at any moment leaves the old artifact or the new one.
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
_FOLDER: Final = "backends"  # no version can have this name, as an id has an @
_BUILDS: Final = "builds"  # no back end has this name
_LOCK: Final = "lock"


class Distance(BaseModel):
    """The distance between the vectors of a back end and those of the weights in float32, measured by the build."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: int
    cosine_min: float
    cosine_mean: float


class ArtifactFacts(BaseModel):
    """The facts from a build. A back end needs some of them to load the artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pad_id: int
    tools: dict[str, str]  # name -> version of each tool of the build
    distance: Distance


class ArtifactManifest(ArtifactFacts):
    """`manifest.json` of an artifact."""

    schema_version: Literal[1] = 1
    model: str
    space: str  # of the version that was built
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
        """The back ends that this version is built for. Raises ConfigurationError for a broken manifest."""
        manifests = sorted((self._directory / version.id).glob(f"*/{MANIFEST}"))
        return tuple(path.parent.name for path in manifests if read_manifest(path.parent).space == version.space)

    def open(self, version: ModelVersion, backend: str) -> Artifact:
        """The artifact of a version for a back end, after its files have been compared with its manifest.

        Raises ConfigurationError if there is none, or it was built from other files or has been damaged.
        """
        # Resolved, so that a build that ends meanwhile cannot give us one file of the old artifact and one of the new.
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
        """A file that is the same in all artifacts of a version, from the first artifact in which it is intact."""
        for path in sorted((self._directory / version.id).glob(f"*/{name}")):
            with suppress(ConfigurationError):  # a broken artifact of another back end does not matter here
                manifest = read_manifest(path.parent)
                if manifest.space == version.space and manifest.files.get(name) == file_digest(path):
                    return path
        return None

    def install(self, version: ModelVersion, backend: str, make: Callable[[Path], ArtifactFacts]) -> Artifact:
        """Let `make` write the files into an empty folder, and install it when it is complete.

        An earlier artifact is replaced. Two builds of one version wait for each other, and the later one wins. Raises
        ConfigurationError, and the errors of `make`.
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
    if link.is_dir() and not link.is_symlink():  # a copy of an artifact, made by hand. No link can replace a folder
        link.rename(folder.with_suffix(".replaced"))
    new = folder.with_suffix(".link")
    new.symlink_to(Path(_BUILDS, folder.name))  # relative, as the models may be moved
    new.replace(link)


def _sweep(place: Path) -> None:
    """Remove the folders that no link points to: replaced artifacts, and the rest of killed and failed builds."""
    linked = {path.readlink().name for path in place.iterdir() if path.is_symlink()}
    for path in (place / _BUILDS).iterdir():
        if path.is_symlink():
            path.unlink()
        elif path.is_dir() and path.name not in linked:
            shutil.rmtree(path)


def _advice(version: ModelVersion, backend: str) -> str:
    return f"sidecar model build {version.id} --backend {backend}"
