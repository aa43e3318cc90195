"""A model version from the store, ready to compute."""

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.embedding.backends import Backend, load_backend, parse_model
from sidecar.embedding.cpus import available_cpus
from sidecar.embedding.tokenizing import TextTokenizer
from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.model import ModelVersion
from sidecar.models.store import ModelStore


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model version in memory."""

    version: ModelVersion
    backend: Backend
    tokenizer: TextTokenizer


def load_models(specs: Sequence[str], store: ModelStore, *, threads: int = 0) -> tuple[LoadedModel, ...]:
    """Load each `MODEL` or `MODEL/BACKEND`; blocking, seconds. `threads` 0: as many as this process may use.

    Raises ModelNotFound, InvalidInput, ConfigurationError.
    """
    opened = [(parse_model(spec)[1], *store.open(parse_model(spec)[0])) for spec in specs]  # refuse before loading any
    ids = [version.id for _, version, _ in opened]
    twice = sorted({version_id for version_id in ids if ids.count(version_id) > 1})
    if twice:
        raise InvalidInput("model", f"{', '.join(twice)} is named twice")
    loaded = []
    for backend_name, version, folder in opened:
        tokenizer = TextTokenizer.from_json((folder / "tokenizer.json").read_bytes(), version.max_tokens)
        backend = load_backend(backend_name, version, folder, threads=threads or available_cpus())
        _warm_up(version, backend, tokenizer)
        loaded.append(LoadedModel(version, backend, tokenizer))
    return tuple(loaded)


def _warm_up(version: ModelVersion, backend: Backend, tokenizer: TextTokenizer) -> None:
    """Compute one text: the first caller shall not wait for lazy initialisation; a wrong dimension shows at once."""
    pooled = backend.compute([text.ids for text in tokenizer.encode(["ready"])])
    if pooled.shape != (1, version.dimension):
        raise ConfigurationError(
            f"model [{version.id}] has dimension {version.dimension}, but {backend.name} computes {pooled.shape[1]}"
        )
