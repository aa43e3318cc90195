"""Leaves the hidden fields out of the documents that `_mget` reads, each by the rule of its own index. Pure."""

from collections.abc import Mapping
from typing import Final

from sidecar.bridge.hidden_fields import NOTHING, Hidden
from sidecar.bridge.hidden_source import STORED_FIELDS, excludes_of, is_filter, source_of, source_without
from sidecar.jsontext import Json, Object, as_text, clauses

_SOURCE: Final = "_source"


def indices_of(body: Object, index: str | None) -> tuple[str, ...]:
    """The indices that the documents name. `index` is the one of the path."""
    named = (_index_of(document, index) for document in clauses(body.get("docs")))
    return tuple(dict.fromkeys(name for name in (index, *named) if name is not None))


def hide_in_mget(
    body: Object, url: Mapping[str, str], index: str | None, hidden: Mapping[str, Hidden]
) -> tuple[Object, tuple[str, ...]]:
    """The members of the body to replace, and the fields to exclude by URL. `hidden` has the rule of each index.

    Bare `ids` can only be told by URL what to leave out. Each of the `docs` then says for itself what it shows.
    """
    excludes = excludes_of(url, hidden.get(index or "", NOTHING)) if "ids" in body else ()
    documents = body.get("docs")
    if not isinstance(documents, list):
        return {}, excludes
    changed = [
        _without(one, url, hidden.get(_index_of(one, index) or "", NOTHING), is_told=bool(excludes))
        if isinstance(one, dict)
        else one
        for one in documents
    ]
    return {} if changed == documents else {"docs": changed}, excludes


def _without(document: Object, url: Mapping[str, str], hidden: Hidden, *, is_told: bool) -> Json:
    if not hidden.fields and not is_told:
        return document
    wish = document.get(_SOURCE)
    if wish is None:
        wish = source_of(url)
    if wish is None:
        stored = document.get(STORED_FIELDS)
        if stored is None and STORED_FIELDS in url:
            stored = list(url[STORED_FIELDS].split(","))
        wish = stored is None or _SOURCE in clauses(stored)
    if wish is False:
        return {**document, _SOURCE: False} if is_told else document
    if wish is not True and not is_filter(wish):
        return document
    return {**document, _SOURCE: source_without({} if wish is True else wish, hidden) or True}


def _index_of(document: Json, index: str | None) -> str | None:
    return as_text(document.get("_index", index)) if isinstance(document, dict) else None
