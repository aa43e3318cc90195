"""Model versions from the store: opened and verified, and tested when a back end can compute them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends import AUTO, BUILT, choose_backend, parse_model
from sidecar.embedding.backends.computing import Computing
from sidecar.embedding.loading.cpus import has_vnni
from sidecar.embedding.loading.memory import ModelToLoad, available_bytes, check_memory, weight_bytes
from sidecar.embedding.loading.selftest import REFERENCES_FILE, check, probe_texts
from sidecar.embedding.text.tokenizer import TextTokenizer
from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.jsontext import value_digest
from sidecar.model import ModelVersion
from sidecar.models.store import ModelStore


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model version whose files have been verified, and the files that it will be loaded from."""

    version: ModelVersion
    backend: str
    tokenizer: TextTokenizer
    folder: Path  # the model's own, or that of the artifact
    weight_bytes: int
    references: NDArray[np.float32] | None
    pad_id: int = 0  # of the artifact
    build: str = ""  # hash of the artifact's files, as another build computes other bits. "": the model's own files

    @property
    def load(self) -> dict[str, Any]:
        """The arguments for the process that computes, without the number of threads."""
        return {
            "backend": self.backend,
            "folder": str(self.folder),
            "max_tokens": self.version.max_tokens,
            "pad_id": self.pad_id,
        }


@dataclass(frozen=True)
class LoadedModel:
    """A model version, ready to compute."""

    version: ModelVersion
    backend: Computing
    tokenizer: TextTokenizer
    build: str = ""
    full_text_s: float = 0.0  # to compute one text of full length, at the self-test

    @cached_property
    def space(self) -> str:
        """The space fingerprint, which every request needs."""
        return self.version.space

    @cached_property
    def computed_by(self) -> str:
        """The back end and the build. Both are part of the key in the cache."""
        return f"{self.backend.name}/{self.build}"


def open_models(specs: Sequence[str], store: ModelStore, *, memory_bytes: int = 0) -> tuple[OpenedModel, ...]:
    """Find and verify the files of each `MODEL` or `MODEL/BACKEND`. Blocks for a fraction of a second.

    All models together must fit into `memory_bytes`, or with 0 into the free memory. Raises ModelNotFound,
    InvalidInput, ConfigurationError.
    """
    opened = tuple(_open(spec, store) for spec in specs)
    ids = [one.version.id for one in opened]
    twice = sorted({version_id for version_id in ids if ids.count(version_id) > 1})
    if twice:
        raise InvalidInput("model", f"{', '.join(twice)} is named twice")
    loads = [ModelToLoad(one.version.id, one.backend, one.weight_bytes) for one in opened]
    check_memory(loads, available_bytes(memory_bytes))
    return opened


def _open(spec: str, store: ModelStore) -> OpenedModel:
    name, backend = parse_model(spec)
    version, folder = store.open(name)
    if backend == AUTO:
        built = store.artifacts.built(version) if find_spec("openvino") else ()
        backend = choose_backend(built, has_vnni=has_vnni())
    tokenizer = TextTokenizer.from_json((folder / "tokenizer.json").read_bytes(), version.max_tokens)
    if backend not in BUILT:
        return OpenedModel(
            version, backend, tokenizer, folder, weight_bytes(folder, version.weights), _references(version, store)
        )
    artifact = store.artifacts.open(version, backend)
    return OpenedModel(
        version,
        backend,
        tokenizer,
        artifact.folder,
        weight_bytes(artifact.folder, artifact.manifest.files),
        references=_read_references(artifact.folder / REFERENCES_FILE),
        pad_id=artifact.manifest.pad_id,
        build=value_digest(artifact.manifest.files),
    )


async def self_test(
    version: ModelVersion, backend: Computing, tokenizer: TextTokenizer, references: NDArray[np.float32] | None
) -> float:
    """Embed the probes and compare the vectors with their references. Without references, compare the dimension only.

    This also initialises the libraries, so that the first caller does not wait for it. Gives the seconds that one text
    of full length takes after that. Raises ConfigurationError.
    """
    *others, longest = (text.ids for text in tokenizer.encode(probe_texts(version)))
    # The longest goes alone: if the others were padded to its length, they would take half a second more.
    outcomes = [await backend.compute(others), await backend.compute([longest])]
    failures = [why for outcome in outcomes for why in outcome.failures.values()]
    if failures:
        who = f"self-test of model [{version.id}] on back end [{backend.name}]"
        raise ConfigurationError(f"{who} failed: {failures[0]}")
    pooled = np.concatenate([outcome.pooled for outcome in outcomes])
    if references is not None:
        check(version, backend.name, pooled, references)
    elif pooled.shape[1] != version.dimension:
        raise ConfigurationError(
            f"model [{version.id}] has dimension {version.dimension}, but {backend.name} computes {pooled.shape[1]}"
        )
    started = monotonic()
    await backend.compute([longest])
    return monotonic() - started


def _references(version: ModelVersion, store: ModelStore) -> NDArray[np.float32] | None:
    """The shipped references, or those of any artifact: every build keeps the vectors of torch in float32."""
    if (shipped := shipped_references(version)) is not None:
        return shipped
    built = store.artifacts.shared_file(version, REFERENCES_FILE)
    return _read_references(built) if built else None


def shipped_references(version: ModelVersion) -> NDArray[np.float32] | None:
    """The references in this release, or None if it has none for this version."""
    file = resources.files(__package__).joinpath("references", f"{version.id}.npy")
    return _read_references(file) if file.is_file() else None


def _read_references(file: Traversable) -> NDArray[np.float32]:
    with file.open("rb") as opened:
        references: NDArray[np.float32] = np.load(opened, allow_pickle=False)
    return references
