"""What other programs import: these names and no others, until the changelog says so."""

import re
from importlib import import_module
from types import ModuleType
from typing import Final

import pytest

from tests.support.folders import ROOT

FACE: Final = {
    "sidecar.rpc": {"EmbedderClient", "SyncEmbedderClient"},
    "sidecar.model": {
        "MODEL_VERSION_ID", "SCHEMA", "Binding", "Engine", "Fusion", "IndexBinding", "ModelVersion", "Prompts",
        "Provenance", "Role", "SearchBinding", "SpaceType", "State", "WritePolicy",
    },
    "sidecar.ports": {
        "Cluster", "EmbeddedText", "Embedder", "Embeddings", "Lane", "Reply", "ServedModel", "Space", "embed_passages",
    },
    "sidecar.errors": {
        "BodyTooLarge", "ClusterRefused", "ClusterTimedOut", "ClusterUnreachable", "ConfigurationError", "Conflict",
        "ConnectionLost", "DeadlineExceeded", "EmbedderMisbehaved", "EmbedderOverloaded", "EmbedderUnavailable", "ErrorKind",
        "InvalidInput", "ModelNotFound", "SidecarError", "SpaceMismatch",
    },
}  # fmt: skip

# What a program has in its hands, member by member.
MEMBERS: Final = {
    ("sidecar.rpc", "EmbedderClient"): {
        "aclose",
        "close",
        "embed",
        "embed_many",
        "encode",
        "healthy",
        "model",
        "models",
        "open_stream",
    },
    ("sidecar.rpc", "SyncEmbedderClient"): {"close", "embed", "embed_many", "encode", "healthy", "models"},
    ("sidecar.ports", "Embeddings"): {"backend", "items", "matrix", "model", "space", "vector"},
    ("sidecar.ports", "EmbeddedText"): {
        "cached",
        "deduplicated",
        "error",
        "row",
        "tokens",
        "tokens_dropped",
        "truncated",
    },
    ("sidecar.ports", "Lane"): {"BULK", "INTERACTIVE"},
    ("sidecar.model", "Role"): {"PASSAGE", "QUERY"},
}

_IMPORTED: Final = re.compile(r"^from (sidecar[\w.]*) import ([\w, ]+)$", re.MULTILINE)
_NAMED: Final = re.compile(r"\b(sidecar\.(?:rpc|model|ports|errors))\.([A-Za-z_]+)")


@pytest.mark.parametrize("module", FACE)
def test_a_module_exports_its_documented_names(module: str) -> None:
    assert exported(import_module(module)) == FACE[module]


@pytest.mark.parametrize(("module", "name"), MEMBERS)
def test_a_class_has_its_documented_members(module: str, name: str) -> None:
    found = getattr(import_module(module), name)

    assert {member for member in vars(found) if not member.startswith("_")} == MEMBERS[module, name]


def test_every_name_in_the_documentation_is_exported() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    texts = [page.read_text() for page in pages]
    imported = {
        (module, name.strip())
        for text in texts
        for module, names in _IMPORTED.findall(text)
        for name in names.split(",")
    }
    named = {found for text in texts for found in _NAMED.findall(text)}

    assert ("sidecar.rpc", "SyncEmbedderClient") in imported
    assert [f"{module}.{name}" for module, name in sorted(imported | named) if name not in FACE.get(module, ())] == []


def exported(module: ModuleType) -> set[str]:
    """`__all__`, or what a module declares itself: constants, and whatever says that it is from there."""
    names = getattr(module, "__all__", None)
    if names is not None:
        assert all(hasattr(module, name) for name in names)
        return set(names)
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and ((name.isupper() and name != "TYPE_CHECKING") or getattr(value, "__module__", "") == module.__name__)
    }
