"""The text that a vector was computed from, and its hash, which proves it. Pure.

The guard pipeline (`ingest_pipelines/ingest/guard.json`) computes the same hash inside the cluster;
`tests/golden/provenance.json` holds the cases on which Python and the node must agree.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final
from unicodedata import category

from sidecar.jsontext import Json, canonical
from sidecar.model import Binding

_BLANK: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# Format characters that Unicode has got since version 13, the oldest one of a Java that runs a guard. They are no
# blanks, so that the guard agrees on every Java and Python.
_NEWER: Final = frozenset(map(chr, (0x890, 0x891, *range(0x13439, 0x13440))))
_LONG: Final = range(
    -(2**63), 2**63
)  # the script processor of OpenSearch 2.19 fails on a document with a longer integer


def source_text(document: Json, binding: Binding) -> str:
    """The text of a document that a bound field embeds; "" if there is none.

    The strings, integers and booleans under each source path are joined by `join`, in the order of the binding. In each
    object the literal dotted key is followed first, then its prefixes from the shortest. Lists are flattened. Empty
    strings and other values are left out. The strings are neither trimmed nor normalised, but a text of blanks alone is
    no text.
    """
    text = binding.join.join(part for path in binding.source for part in _parts(document, path))
    return "" if is_blank(text) else text


def is_blank(text: str) -> bool:
    """Whether a text has only blanks, controls and format characters, so no tokenizer finds a token in it."""
    return all(category(one) in _BLANK and one not in _NEWER for one in text)


def _parts(node: Json, path: str) -> Iterator[str]:
    if isinstance(node, list):
        for element in node:
            yield from _parts(element, path)
    elif isinstance(node, dict):
        if path in node:
            yield from _leaves(node[path])
        dot = path.find(".")
        while dot >= 0:
            if path[:dot] in node:
                yield from _parts(node[path[:dot]], path[dot + 1 :])
            dot = path.find(".", dot + 1)


def _leaves(node: Json) -> Iterator[str]:
    if isinstance(node, str):
        if node:
            yield node
    elif isinstance(node, list):
        for element in node:
            yield from _leaves(element)
    elif isinstance(node, bool):
        yield "true" if node else "false"
    elif isinstance(node, int) and node in _LONG:
        yield str(node)


def well_formed(text: str) -> str:
    """The text with each lone surrogate as "?", as Java's UTF-8 encoder writes it (and as protobuf needs it)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def hash_prefix(binding: Binding) -> str:
    """The prefix of the hashed text: the space fingerprint and the canonical chunking, if any."""
    return binding.space + ("" if binding.chunking is None else canonical(binding.chunking).decode("ascii"))


def provenance_hash(text: str, binding: Binding) -> str:
    """Lower-case hex SHA-256 of the space fingerprint, the canonical chunking (if any) and the text."""
    return sha256((hash_prefix(binding) + text).encode("utf-8", "replace")).hexdigest()
