"""The client library of the embedding server. A call goes through these files from top to bottom.

client.py       `EmbedderClient`; `sync.py` has the same calls for programs without an event loop
arguments.py    checks what a caller gives
replies.py      cuts the texts into parts that fit into a message, and joins the replies
streaming.py    `embed_many`: batch after batch through one stream
rotation.py     whose turn it is, and which refusals another replica is asked about
addresses.py    the servers behind an address or a DNS name
replica.py      one replica: its calls and its probes; `breaker.py` decides when it is used
connections.py  channels, and the certificates that they are made with; `forks.py` closes them before a fork
failures.py     the error that a gRPC status means

A replica is one of several servers with the same models. A part is the content of one message. Credits are the tokens
that the server is ready to take from a stream.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.rpc.client import EmbedderClient
    from sidecar.rpc.sync import SyncEmbedderClient

__all__ = ["EmbedderClient", "SyncEmbedderClient"]

_MODULES = {"EmbedderClient": "sidecar.rpc.client", "SyncEmbedderClient": "sidecar.rpc.sync"}


def __getattr__(name: str) -> object:
    """Import a client when it is used. The server imports this package, too, and needs neither client."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
