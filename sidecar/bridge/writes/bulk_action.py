"""Reads the action line of a bulk operation exactly as OpenSearch's BulkRequestParser does. Pure.

The cluster reads the first member of the line and nothing behind it. In its parameters it takes numbers and booleans as
they are written, so the id `1e3` is the text "1e3".
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from sidecar.jsontext import Json, Object, as_text, first_member, plain_json


class Action(StrEnum):
    """The action of a bulk item."""

    INDEX = "index"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


_ACTIONS: Final = frozenset(Action)
_PARAMETERS: Final = frozenset(
    {
        "_index", "_id", "routing", "version", "version_type", "op_type", "if_seq_no", "if_primary_term",
        "retry_on_conflict", "pipeline", "_source", "require_alias",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """The action and the document of a bulk item. An answer to the item needs no more."""

    action: Action
    index: str
    id: str | None


def parse_action(line: bytes, path_index: str | None) -> Operation | None:
    """Parse an action line. Gives None if the cluster would refuse it, or if we are not sure."""
    try:
        name, metadata = _read(line.removesuffix(b"\n"))  # half a character in UTF-16
    except ValueError:
        return None
    if name not in _ACTIONS or not isinstance(metadata, dict) or not metadata.keys() <= _PARAMETERS:
        return None
    for key, value in metadata.items():
        if isinstance(value, list) or (isinstance(value, dict) and key != "_source"):
            return None
    named = as_text(metadata.get("_index"))
    index = path_index if named is None else named
    if index is None:
        return None
    action = Action(name)
    if action is Action.INDEX and metadata.get("op_type") == Action.CREATE:
        action = Action.CREATE
    return Operation(action, index, as_text(metadata.get("_id")))


def parameters_of(line: bytes) -> Object:
    """The parameters of an action line that has been parsed. Numbers may be texts."""
    metadata = _read(line)[1]
    return metadata if isinstance(metadata, dict) else {}


def plain_action(line: bytes) -> bytes:
    """The same action line as one object with one member, in strict JSON."""
    return line if _quickly(line) is not None else b"{" + first_member(plain_json(line))[2] + b"}"


def _read(line: bytes) -> tuple[str, Json]:
    """The action and its parameters. Raises ValueError."""
    quick = _quickly(line)
    if quick is not None:
        return next(iter(quick.items()))
    name, metadata, _ = first_member(plain_json(line))
    return name, metadata


def _quickly(line: bytes) -> Object | None:
    """The line, parsed, if it is plain: two objects, no number that could be written in another way."""
    if line.count(b"{") != 2:  # one action could stand there twice
        return None
    try:
        parsed = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(parsed, dict) or len(parsed) != 1:
        return None
    (metadata,) = parsed.values()
    if not isinstance(metadata, dict):
        return None
    for value in metadata.values():
        # 1.50 and 1e3 are other texts than 1.5 and 1000, and -0 is another one than 0.
        if isinstance(value, float) or value == 0:
            return None
    return parsed
