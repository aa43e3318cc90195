"""Parses the body of an update as the cluster does. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.jsontext import Json, Object, loads

_KNOWN: Final = frozenset(
    {
        "_source", "detect_noop", "doc", "doc_as_upsert", "if_primary_term", "if_seq_no", "script", "scripted_upsert",
        "upsert",
    }
)  # fmt: skip
_FLAGS: Final = {True: True, False: False, "true": True, "false": False}  # as the cluster's parser reads a boolean


@dataclass(frozen=True, slots=True)
class Position:
    """The sequence number and primary term of the document that a write is meant for."""

    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class UpdateBody:
    """A parsed update: its body, and the parameters that decide when it may happen."""

    doc: Object | None
    created: Object | None  # stored if there is no document: `upsert`, or `doc` itself
    is_doc_as_upsert: bool
    is_scripted: bool
    guard: Position | None  # the client's own
    retries: int  # after conflicts: as many as the client asks for


def parse_update(source: bytes, parameters: Mapping[str, Json]) -> UpdateBody | None:
    """Parse an update. Its `parameters` are those of the action line or of the query string.

    Gives None if the cluster would refuse the update, or if we are not sure. The cluster refuses a whole bulk with such
    an update. It accepts an update with more text after the object.
    """
    try:
        body = loads(source)
    except ValueError:
        return None
    if not isinstance(body, dict) or not body.keys() <= _KNOWN:
        return None
    doc, upsert, flag = body.get("doc"), body.get("upsert"), body.get("doc_as_upsert", False)
    if ("doc" in body) == ("script" in body) or not isinstance(flag, bool | str) or flag not in _FLAGS:
        return None
    if any(name in body and not isinstance(body[name], dict) for name in ("doc", "upsert")):
        return None
    guard = _position({**body, **parameters})
    retries = _number(parameters.get("retry_on_conflict")) or 0
    created = doc if _FLAGS[flag] else upsert
    if guard is not None and (created is not None or retries > 0):
        return None
    return UpdateBody(
        doc if isinstance(doc, dict) else None,
        created if isinstance(created, dict) else None,
        is_doc_as_upsert=_FLAGS[flag],
        is_scripted="script" in body,
        guard=guard,
        retries=retries,
    )


def _position(values: Mapping[str, Json]) -> Position | None:
    seq_no, primary_term = _number(values.get("if_seq_no")), _number(values.get("if_primary_term"))
    return None if seq_no is None else Position(seq_no, primary_term or 0)


def _number(value: Json) -> int | None:
    """Read a number as the cluster does. In a query string it is a text, and in an action line it may be one."""
    if isinstance(value, str):
        if value.isdecimal():
            return int(value)
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None
