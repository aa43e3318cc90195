"""What an update shows of its document: not the fields that the bridge has added, unless a client names them. Pure.

In a single update the `_source` of the body counts, else that of the URL; in a bulk request that of the action line,
else that of the URL, else that of the body.
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
    """The body of a single update that does not show what is hidden."""
    shown = _without(_first(_of_body(source), _of_url(url)), hidden)
    return source if shown is None else splice(source, {"_source": dumps(shown)}, {"_source"})


def hide_in_item(item: BulkItem, url: Mapping[str, str], hidden: tuple[str, ...]) -> BulkItem:
    """The operation of a bulk request that does not show what is hidden."""
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
    except ValueError:  # an object with something behind it, which the cluster takes
        return None


def _of_url(url: Mapping[str, str]) -> Json:
    """The parameters of a URL as they would stand in a body; None: there are none."""
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
    """What to ask for instead; None: nothing else."""
    if wish is None or wish is False:
        return None
    changed = source_without({} if wish is True else wish, hidden)
    return None if changed == wish else changed
