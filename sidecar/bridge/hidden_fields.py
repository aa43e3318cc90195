"""Keeps our fields out of the hits that clients read, unless a client names them. Pure."""

from collections.abc import Mapping

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.jsontext import Json, Object, clauses
from sidecar.model import IndexBinding


def hide_fields(
    body: Object | None, url: Mapping[str, str], indices: tuple[BoundIndex, ...]
) -> tuple[Object | None, tuple[str, ...]]:
    """Leave our fields out of the hits, except those that the client names.

    Gives the body to send instead (None: the body does not change), and the fields to exclude by URL. The URL's
    `_source…` parameters replace the body's `_source`. So the body changes only if its `_source` counts and names
    fields.
    """
    hidden = hidden_fields(indices)
    if any(name in url for name in ("_source", "_source_includes", "_source_excludes")):
        named = f"{url.get('_source', '')},{url.get('_source_includes', '')}".split(",")
        is_off = url.get("_source") == "false"
        return None, () if is_off else tuple(name for name in hidden if name not in named)
    source = None if body is None else body.get("_source")
    if body is None or source is None or source is True:
        return None, hidden
    if source is False:
        return None, ()
    return {**body, "_source": source_without(source, hidden)}, ()


def source_without(source: Json, hidden: tuple[str, ...]) -> Json:
    """The `_source` that leaves out the `hidden` fields, except those that it includes by name."""
    if isinstance(source, dict):
        options = dict(source)
        includes = clauses(options.get("includes", options.get("include")))
        key = "exclude" if "exclude" in options else "excludes"
    else:
        includes, options, key = clauses(source), {"includes": clauses(source)}, "excludes"
    added = [name for name in hidden if name not in includes]
    return {**options, key: [*clauses(options.get(key)), *added]} if added else source


def hidden_fields(indices: tuple[BoundIndex, ...]) -> tuple[str, ...]:
    """The fields that the bridge has added to the documents of these indices. No client asked for them."""
    bindings = (index.binding for index in indices if index.binding is not None)
    return tuple(dict.fromkeys(name for binding in bindings for name in added_fields(binding)))


def added_fields(binding: IndexBinding) -> tuple[str, ...]:
    """The names of the vector fields of a binding, and of their provenances."""
    return tuple(name for bound in binding.fields.values() for name in (bound.field, bound.meta_field))
