"""Leaves our fields out of the document that an update shows in its answer, unless a client names them. Pure.

In a single update the `_source` of the body counts, else that of the URL. In a bulk request the `_source` of the action
line counts, else that of the URL, else that of the body.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sidecar.bridge.hidden_fields import Hidden
from sidecar.bridge.hidden_source import source_of, source_without
from sidecar.bridge.splice import splice, splice_member
from sidecar.bridge.writes.bulk_action import Action
from sidecar.bridge.writes.bulk_body import BulkItem, action_parameters
from sidecar.jsontext import Json, at, dumps, loads

_KEY: Final = b"_source"


def hide_in_update(source: bytes, url: Mapping[str, str], hidden: tuple[str, ...]) -> bytes:
    """Change the body of a single update, so that its answer does not show the hidden fields."""
    shown = _without(_first(_of_body(source), source_of(url)), hidden)
    return source if shown is None else splice(source, {"_source": dumps(shown)}, {"_source"})


def hide_in_item(item: BulkItem, url: Mapping[str, str], hidden: tuple[str, ...]) -> BulkItem:
    """Change an operation of a bulk request, so that its answer does not show the hidden fields."""
    if item.action is not Action.UPDATE or item.source_line is None:
        return item
    of_line = action_parameters(item).get("_source") if _KEY in item.action_line else None
    shown = _without(_first(of_line, source_of(url), _of_body(item.source_line)), hidden)
    if shown is None:
        return item
    return replace(item, action_line=splice_member(item.action_line, "update", {"_source": dumps(shown)}, {"_source"}))


def _of_body(source: bytes) -> Json:
    try:
        return at(loads(source), "_source") if _KEY in source else None
    except ValueError:  # an object with more text after it, which the cluster accepts
        return None


def _first(*wishes: Json) -> Json:
    return next((wish for wish in wishes if wish is not None), None)


def _without(wish: Json, hidden: tuple[str, ...]) -> Json:
    """The `_source` to ask for instead. None if it does not have to change."""
    if wish is None or wish is False:
        return None
    changed = source_without({} if wish is True else wish, Hidden(hidden))
    return None if changed == wish else changed
