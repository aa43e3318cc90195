"""A model version from the store, ready to compute."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import AUTO, BUILT, Backend, choose_backend, load_backend, parse_model
from sidecar.embedding.cpus import available_cpus, has_vnni
from sidecar.embedding.selftest import REFERENCES_FILE, check, probe_texts
from sidecar.embedding.tokenizing import TextTokenizer
from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.jsontext import canonical
from sidecar.model import ModelVersion
from sidecar.models.store import ModelStore


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model version in memory."""

    version: ModelVersion
    backend: Backend
    tokenizer: TextTokenizer
    build: str = ""  # hash of the artifact's files: another build computes other bits; "": the model's own files

    @property
    def computed_by(self) -> str:
        """What vectors in the cache were computed by."""
        return f"{self.backend.name}/{self.build}"


@dataclass(frozen=True, slots=True)
class _Opened:
    """A model version whose files have been verified, and what it will be loaded from."""

    version: ModelVersion
    backend: str
    tokenizer_json: bytes
    folder: Path  # the model's own, or that of the artifact
    references: NDArray[np.float32] | None
    build: str = ""


def load_models(specs: Sequence[str], store: ModelStore, *, threads: int = 0) -> tuple[LoadedModel, ...]:
    """Load each `MODEL` or `MODEL/BACKEND` and test it; blocking, seconds. `threads` 0: as many as we may use.

    Raises ModelNotFound, InvalidInput, ConfigurationError.
    """
    opened = [_open(spec, store) for spec in specs]  # refuse before loading any
    ids = [one.version.id for one in opened]
    twice = sorted({version_id for version_id in ids if ids.count(version_id) > 1})
    if twice:
        raise InvalidInput("model", f"{', '.join(twice)} is named twice")
    return tuple(_load(one, threads or available_cpus()) for one in opened)


def _open(spec: str, store: ModelStore) -> _Opened:
    name, backend = parse_model(spec)
    version, folder = store.open(name)
    if backend == AUTO:
        backend = choose_backend(store.artifacts.built(version), has_vnni=has_vnni())
    tokenizer_json = (folder / "tokenizer.json").read_bytes()
    if backend not in BUILT:
        return _Opened(version, backend, tokenizer_json, folder, shipped_references(version))
    artifact = store.artifacts.open(version, backend)
    build = sha256(canonical(artifact.manifest.files)).hexdigest()
    references = _read_references(artifact.folder / REFERENCES_FILE)
    return _Opened(version, backend, tokenizer_json, artifact.folder, references, build)


def _load(opened: _Opened, threads: int) -> LoadedModel:
    version = opened.version
    tokenizer = TextTokenizer.from_json(opened.tokenizer_json, version.max_tokens)
    backend = load_backend(opened.backend, version, opened.folder, threads=threads)
    self_test(version, backend, tokenizer, opened.references)
    return LoadedModel(version, backend, tokenizer, opened.build)


def self_test(
    version: ModelVersion, backend: Backend, tokenizer: TextTokenizer, references: NDArray[np.float32] | None
) -> None:
    """Embed the probes and compare them with their references; without any, only the dimension.

    It also spares the first caller the lazy initialisation of the libraries. Raises ConfigurationError.
    """
    *others, longest = (text.ids for text in tokenizer.encode(probe_texts(version)))
    # The longest goes alone: padded to its length the others would cost half a second more.
    pooled = np.concatenate([backend.compute(others), backend.compute([longest])])
    if references is not None:
        check(version, backend.name, pooled, references)
    elif pooled.shape[1] != version.dimension:
        raise ConfigurationError(
            f"model [{version.id}] has dimension {version.dimension}, but {backend.name} computes {pooled.shape[1]}"
        )


def shipped_references(version: ModelVersion) -> NDArray[np.float32] | None:
    """The references that come with this release; None: it has none of this version."""
    file = resources.files(__package__).joinpath("references", f"{version.id}.npy")
    return _read_references(file) if file.is_file() else None


def _read_references(file: Traversable) -> NDArray[np.float32]:
    with file.open("rb") as opened:
        references: NDArray[np.float32] = np.load(opened, allow_pickle=False)
    return references
