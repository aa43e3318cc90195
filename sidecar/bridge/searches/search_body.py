"""Reads the body of a search into an object that can be written again. Pure."""

from collections.abc import Callable
from typing import Final

from sidecar.bridge.searches.wrapper import may_hold_wrapper, unwrapped
from sidecar.jsontext import Json, Object, loads_exact

_MAX_DEPTH: Final = 200  # the query is read by recursion, so a deeper one is sent unchanged


def parse_search(text: bytes | None, read: Callable[[bytes], Json] = loads_exact) -> Object | None:
    """Parse a search. An empty body is {}. Gives None if the body is not an object, or if we cannot read it exactly.

    `wrapper` queries are read as what they hold. Raises NestedTooDeeply for one that the cluster should not read.
    """
    if text is None:
        return None
    if not text.strip():
        return {}
    try:
        parsed = read(text)
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
