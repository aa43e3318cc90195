"""The client library of the embedding server."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.rpc.client import EmbedderClient
    from sidecar.rpc.sync import SyncEmbedderClient

__all__ = ["EmbedderClient", "SyncEmbedderClient"]

_MODULES = {"EmbedderClient": "sidecar.rpc.client", "SyncEmbedderClient": "sidecar.rpc.sync"}


def __getattr__(name: str) -> object:
    """Import a client when it is asked for: the server imports this package too, and needs neither."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
