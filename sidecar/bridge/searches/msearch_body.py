"""Reads the body of `_msearch` as RestMultiSearchAction does: pairs of lines, a header and a search. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from sidecar.bridge.searches.rewrite.companion import WHOLE
from sidecar.bridge.searches.search_body import parse_search
from sidecar.bridge.splice import elements, members, replace_member
from sidecar.jsontext import Json, Object, as_text, at, dumps, loads, plain_json

_INDEX_KEYS: Final = ("index", "indices")
_STATUS_OF_ERROR: Final = re.compile(rb'"status"\s*:\s*[45]')
# Parameters of the whole request that do not apply to its items.
_OF_ALL: Final = frozenset({"max_concurrent_searches"})


@dataclass(frozen=True, slots=True)
class SearchItem:
    """One search of an `_msearch`: the bytes of its two lines, and their objects."""

    header_line: bytes
    body_line: bytes
    header: Object
    body: Object | None  # None: we cannot read it exactly

    @property
    def expression(self) -> str | None:
        """The index expression that the header names. None if it names none."""
        named = next((self.header[key] for key in _INDEX_KEYS if self.header.get(key)), None)
        return None if named is None else _as_parameter(named)

    def parameters(self, url: Mapping[str, str]) -> dict[str, str]:
        """The parameters that a `_search` would have in its URL. The header's options win over those of the request."""
        shared = {name: value for name, value in url.items() if name not in _OF_ALL}
        own = {name: _as_parameter(value) for name, value in self.header.items() if name not in _INDEX_KEYS}
        return {**shared, **own}

    def lines(self, body: bytes | None = None, companion: tuple[str, str] | None = None) -> bytes:
        """The bytes of the item, with another body or a companion if they are given.

        `companion` holds the index expression of the item, and the companion that is searched too.
        """
        header = self.header_line
        if companion is not None:
            rest = {name: value for name, value in self.header.items() if name not in _INDEX_KEYS}
            expression, added = companion
            header = dumps({**rest, **WHOLE, "index": [*expression.split(","), added]})
        return header + b"\n" + (self.body_line if body is None else body) + b"\n"

    def with_body(self, body: Object) -> "SearchItem":
        """The item with the search that its template was rendered to."""
        return replace(self, body_line=dumps(body), body=body)


def parse_msearch(text: bytes) -> tuple[SearchItem, ...] | None:
    """Parse the items. Gives None if the cluster would not read the request, or if we are not sure how it would."""
    lines = text.split(b"\n")
    if lines.pop():
        return None  # the cluster requires a newline at the end
    if lines and not lines[0]:
        lines = lines[1:]  # it allows an empty first line
    if len(lines) % 2:
        return None
    items = []
    for header_line, body_line in zip(lines[::2], lines[1::2], strict=True):
        header = _parse_header(plain_json(header_line))
        if header is None:
            return None
        # An empty line is no search. The cluster refuses it.
        body = parse_search(plain_json(body_line)) if body_line.strip() else None
        items.append(SearchItem(header_line, body_line, header, body))
    return tuple(items)


def _parse_header(line: bytes) -> Object | None:
    """Parse a header. The cluster reads no option from one that is no object, such as `[]`."""
    header = parse_search(line)
    if header is not None:
        return header
    try:
        return None if isinstance(loads(line), dict) else {}
    except ValueError:
        return None


def holds_errors(answer: bytes) -> bool:
    """Whether an answer may hold the status of an error. It is quick, so that a good answer need not be parsed."""
    return _STATUS_OF_ERROR.search(answer) is not None


def errors_of_items(answer: Json) -> dict[int, tuple[int, bytes]]:
    """The status and the error of each item by its position. Items without a status are left out."""
    responses = answer.get("responses") if isinstance(answer, dict) else None
    found = {}
    for position, item in enumerate(responses if isinstance(responses, list) else []):
        status = item.get("status") if isinstance(item, dict) else None
        if isinstance(status, int):
            found[position] = (status, dumps(at(item, "error")))
    return found


def with_answers(answer: bytes, added: Mapping[int, bytes], took: int) -> bytes:
    """Insert the answers to further items into the cluster's answer, at their positions.

    Apart from `took`, no other byte changes.
    """
    (responses,) = (member for member in members(answer) if member.key == "responses")
    given = elements(answer[responses.value_start : responses.value_end])
    merged: list[bytes] = []
    for position, element in sorted(added.items()):
        merged += [*islice(given, position - len(merged)), element]
    whole = replace_member(answer, "responses", b"[" + b",".join([*merged, *given]) + b"]")
    return replace_member(whole, "took", dumps(took))


def _as_parameter(value: Json) -> str:
    if isinstance(value, list):
        return ",".join(map(_as_parameter, value))
    return as_text(value) or str(value)
