"""Finds the indices that a bulk request in Smile may update. Pure.

The cluster takes bulk requests in JSON and in Smile. The guard sees the documents of both, but no update. The bridge
does not read Smile. It only looks for the names of the action and of the index, which Smile writes out at the first use
in an object. The byte before a text tells its kind and its length.
"""

import re
from typing import Final

_UPDATE: Final = re.compile(rb"\xfa(?:[\x85\xc4]update|\x34update\xfc)")  # the first name in an object
_INDEX: Final = re.compile(rb"(?:[\x85\xc4]_index|\x34_index\xfc)(.)([^\xfc]{0,255})", re.DOTALL)
_SHORT: Final = ((0xA0, 34), (0x80, 2), (0x60, 33), (0x40, 1))  # the first byte of a kind, and the length that it tells
_LONG: Final = frozenset(b"\xe0\xe4")


def updated_indices(body: bytes, path_index: str | None) -> frozenset[str | None]:
    """The names that may be updated. None among them: a name that is not understood."""
    if not _UPDATE.search(body):
        return frozenset()
    named = {_text(found[1][0], found[2]) for found in _INDEX.finditer(body)}
    return frozenset(named if path_index is None else named | {path_index})


def _text(kind: int, text: bytes) -> str | None:
    if kind in _LONG:
        return text.decode("utf-8", "replace")
    if not 0x40 <= kind < 0xC0:
        return None
    first, shortest = next(pair for pair in _SHORT if pair[0] <= kind)
    return text[: kind - first + shortest].decode("utf-8", "replace")
