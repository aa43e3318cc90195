"""Reads `wrapper` queries as the queries that they hold. Spring Data writes every query of a text in this form.

Pure. The cluster decodes the base64 text, and reads the query in it as if it stood there.
"""

import base64
import binascii

from sidecar.bridge.proxy.nesting import NestedTooDeeply, is_too_deep
from sidecar.bridge.searches.limits import is_too_large_text
from sidecar.jsontext import Json, loads_exact

_WRAPPER = "wrapper"
_MARKS = (b'"wrapper"', b"\\u")  # a name may be escaped


def may_hold_wrapper(text: bytes) -> bool:
    """Whether a body may hold such a query. It is quick, because hardly any does."""
    return any(mark in text for mark in _MARKS)


def unwrapped(node: Json, levels: int) -> Json:
    """The same body without wrappers. One that we cannot read stays.

    Raises NestedTooDeeply for more levels than these. Each wrapper in a wrapper could add a thousand.
    """
    if levels < 0:
        raise NestedTooDeeply
    if isinstance(node, list):
        return [unwrapped(element, levels - 1) for element in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {_WRAPPER}:
        held = _held(node[_WRAPPER])
        if held is not None:
            return unwrapped(held, levels)
    return {key: unwrapped(value, levels - 1) for key, value in node.items()}


def _held(spec: Json) -> Json:
    """The query in a wrapper. None if it cannot be read, or is too large to be planned."""
    if not isinstance(spec, dict) or spec.keys() != {"query"} or not isinstance(spec["query"], str):
        return None
    try:
        text = base64.b64decode(spec["query"], validate=True)
    except (binascii.Error, ValueError):
        return None
    if is_too_deep(text):
        raise NestedTooDeeply
    if is_too_large_text(text):
        return None
    try:
        held = loads_exact(text)
    except ValueError:
        return None
    return held if isinstance(held, dict) and len(held) == 1 else None
