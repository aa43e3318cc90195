"""Leaves our fields out of the document that an update shows in its answer, unless a client names them. Pure.

In a single update the `_source` of the body counts, else that of the URL. In a bulk request the `_source` of the action
line counts, else that of the URL, else that of the body.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sidecar.bridge.hidden_fields import source_without
from sidecar.bridge.splice import splice, splice_member
from sidecar.bridge.writes.bulk_body import Action, BulkItem, action_parameters
from sidecar.jsontext import Json, at, dumps, loads

SOURCE_PARAMETERS: Final = ("_source", "_source_includes", "_source_excludes")

_KEY: Final = b"_source"


def hide_in_update(source: bytes, url: Mapping[str, str], hidden: tuple[str, ...]) -> bytes:
    """Change the body of a single update, so that its answer does not show the hidden fields."""
    shown = _without(_first(_of_body(source), _of_url(url)), hidden)
    return source if shown is None else splice(source, {"_source": dumps(shown)}, {"_source"})


def hide_in_item(item: BulkItem, url: Mapping[str, str], hidden: tuple[str, ...]) -> BulkItem:
    """Change an operation of a bulk request, so that its answer does not show the hidden fields."""
    if item.action is not Action.UPDATE or item.source_line is None:
        return item
    of_line = action_parameters(item).get("_source") if _KEY in item.action_line else None
    shown = _without(_first(of_line, _of_url(url), _of_body(item.source_line)), hidden)
    if shown is None:
        return item
    return replace(item, action_line=splice_member(item.action_line, "update", {"_source": dumps(shown)}, {"_source"}))


def _of_body(source: bytes) -> Json:
    try:
        return at(loads(source), "_source") if _KEY in source else None
    except ValueError:  # an object with more text after it, which the cluster accepts
        return None


def _of_url(url: Mapping[str, str]) -> Json:
    """The `_source` of a body that means the same as these parameters of a URL. None if there are none."""
    if not any(name in url for name in SOURCE_PARAMETERS):
        return None
    named = url.get("_source", "true")
    if named == "false":
        return False
    plain = [] if named in ("", "true") else named.split(",")
    includes = url["_source_includes"].split(",") if "_source_includes" in url else plain
    return {
        "includes": list(includes),
        "excludes": [name for name in url.get("_source_excludes", "").split(",") if name],
    }


def _first(*wishes: Json) -> Json:
    return next((wish for wish in wishes if wish is not None), None)


def _without(wish: Json, hidden: tuple[str, ...]) -> Json:
    """The `_source` to ask for instead. None if it does not have to change."""
    if wish is None or wish is False:
        return None
    changed = source_without({} if wish is True else wish, hidden)
    return None if changed == wish else changed
