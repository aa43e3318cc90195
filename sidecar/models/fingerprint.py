"""The files of a model that decide on its vectors, and the hash of its tokenizer. Pure."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from sidecar.errors import InvalidInput
from sidecar.jsontext import loads, value_digest

_DESCRIPTIONS: Final = frozenset({".json", ".txt", ".model"})  # configuration, vocabularies, sentencepiece models


def weight_files(files: Sequence[str], module_folders: Sequence[str]) -> tuple[str, ...]:
    """The fp32 weight files among these paths: the safetensors in each module's folder, or the pickles if it has none.

    A model often has the same weights several times (`pytorch_model.bin`, `onnx/`, `openvino/`, TensorFlow). Only those
    that sentence-transformers would load count. Paths are relative to the model's folder.
    """
    chosen: list[str] = []
    for folder in dict.fromkeys(PurePosixPath(folder) for folder in module_folders):
        here = sorted(file for file in files if PurePosixPath(file).parent == folder)
        safetensors = [file for file in here if file.endswith(".safetensors")]
        chosen += safetensors or [file for file in here if PurePosixPath(file).match("pytorch_model*.bin")]
    return tuple(chosen)


def needed_files(files: Sequence[str], module_folders: Sequence[str]) -> tuple[str, ...]:
    """The files that a version's own folder must hold: the weights and the descriptions beside them."""
    folders = {PurePosixPath(folder) for folder in ("", *module_folders)}
    descriptions = [
        file for file in files if PurePosixPath(file).parent in folders and PurePosixPath(file).suffix in _DESCRIPTIONS
    ]
    return (*weight_files(files, module_folders), *sorted(descriptions))


def tokenizer_hash(tokenizer_json: bytes) -> str:
    """SHA-256 (hex) of tokenizer.json in canonical JSON, without truncation and padding. Raises InvalidInput.

    The model version itself decides on these two: MiniLM's file says 128 tokens, always padded, but the model takes
    256.
    """
    return value_digest(tokenizer_document(tokenizer_json))


def tokenizer_document(tokenizer_json: bytes) -> dict[str, object]:
    """The tokenizer as a document without truncation and padding. Raises InvalidInput."""
    try:
        document = loads(tokenizer_json)
    except ValueError as error:
        raise InvalidInput("tokenizer.json", f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInput("tokenizer.json", "must be a JSON object")
    return {key: value for key, value in document.items() if key not in {"truncation", "padding"}}
