"""Reads the body of a search into an object that can be written again. Pure."""

import re
from typing import Final

from sidecar.bridge.searches.wrapper import may_hold_wrapper, unwrapped
from sidecar.jsontext import Json, Object, loads_exact

_MAX_DEPTH: Final = 200  # the query is read by recursion, so a deeper one is sent unchanged
_COMMENT: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+")|/\*.*?\*/|//[^\r\n]*', re.DOTALL)
# The first bytes of JSON, which is ASCII there, tell the width of its characters and their order.
_WIDE: Final = (
    (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
    (b"\0\0\0", "utf-32-be"), (b"\0", "utf-16-be"),
)  # fmt: skip


def plain_json(text: bytes) -> bytes:
    """The same JSON in UTF-8 and without comments, as the cluster reads it. Anything else does not change."""
    wide = next((coding for start, coding in _WIDE if text.startswith(start)), None)
    if wide is None and b"\0" in text[1:4]:
        wide = "utf-32-le" if text[1:4] == b"\0\0\0" else "utf-16-le"
    if wide is not None:
        try:
            text = text.decode(wide).encode()
        except UnicodeError:
            return text
    return _COMMENT.sub(lambda found: found[1] or b" ", text) if b"/*" in text or b"//" in text else text


def parse_search(text: bytes | None) -> Object | None:
    """Parse a search. An empty body is {}. Gives None if the body is not an object, or if we cannot read it exactly.

    `wrapper` queries are read as what they hold. Raises NestedTooDeeply for one that the cluster should not read.
    """
    if text is None:
        return None
    if not text.strip():
        return {}
    try:
        parsed = loads_exact(text)
    except ValueError:
        return None
    if not isinstance(parsed, dict) or _is_deeper(parsed, _MAX_DEPTH):
        return None
    if not may_hold_wrapper(text):
        return parsed
    opened = unwrapped(parsed, _MAX_DEPTH)
    return opened if isinstance(opened, dict) else None


def _is_deeper(node: Json, levels: int) -> bool:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return levels == 0 or any(_is_deeper(child, levels - 1) for child in inner)
