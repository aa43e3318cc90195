"""The sources of a model's files: a folder, an installed package, or a hub (the only download in this program)."""

import importlib.util
from pathlib import Path
from typing import Final

from sidecar.errors import ConfigurationError
from sidecar.models.facts import MODULES_FILE

_HUB_PATTERNS: Final = ("*.safetensors", "*.json", "*.txt", "*.model")  # never code, never pickles
_HUB_IGNORED: Final = ("onnx/*", "openvino/*")


def locate(source: str, download: Path) -> Path:
    """The folder that a source names. The files of a hub go into `download`. Raises ConfigurationError."""
    kind, colon, name = source.partition(":")
    if colon and kind == "hub":
        return _download(name, download)
    if colon and kind == "package":
        found = package_folder(name)
        if found is None:
            raise ConfigurationError(
                f"package [{name}] is not installed here, or holds no sentence-transformers folder"
            )
        return found
    folder = Path(source).expanduser()
    if not (folder / MODULES_FILE).is_file():
        raise ConfigurationError(f"{folder} is no sentence-transformers folder: it holds no {MODULES_FILE}")
    return folder


def package_folder(distribution: str) -> Path | None:
    """The model folder inside an installed package, which is not imported. None if there is none."""
    module = distribution.replace("-", "_")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        for folder in (Path(root), *sorted(Path(root).iterdir())):
            if (folder / MODULES_FILE).is_file():
                return folder
    return None


def _download(name: str, folder: Path) -> Path:
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - a bridge host does not have it
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError("downloading from a hub needs the extra [embedder]") from error
    try:
        snapshot_download(name, local_dir=folder, allow_patterns=[*_HUB_PATTERNS], ignore_patterns=[*_HUB_IGNORED])
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise ConfigurationError(f"hub:{name} could not be downloaded: {error}") from error
    return folder
