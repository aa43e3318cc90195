"""The body of `_msearch`: pairs of lines, a header and a search, read as RestMultiSearchAction reads them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from sidecar.bridge.searches.rewrite.companion import WHOLE
from sidecar.bridge.searches.search_body import parse_search
from sidecar.bridge.splice import elements, members, replace_member
from sidecar.jsontext import Json, Object, dumps

_INDEX_KEYS: Final = ("index", "indices")
# Parameters of the whole request, which say nothing about how an item is searched.
_OF_ALL: Final = frozenset({"max_concurrent_searches"})


@dataclass(frozen=True, slots=True)
class SearchItem:
    """One search of several, as it came."""

    header_line: bytes
    body_line: bytes
    header: Object
    body: Object | None  # None: not JSON that we read exactly

    @property
    def expression(self) -> str | None:
        """The indices that the header names."""
        named = next((self.header[key] for key in _INDEX_KEYS if self.header.get(key)), None)
        return None if named is None else _as_parameter(named)

    def parameters(self, url: Mapping[str, str]) -> dict[str, str]:
        """What a `_search` would have in its URL: the header's options, over those of the whole request."""
        shared = {name: value for name, value in url.items() if name not in _OF_ALL}
        own = {name: _as_parameter(value) for name, value in self.header.items() if name not in _INDEX_KEYS}
        return {**shared, **own}

    def lines(self, body: bytes | None = None, companion: tuple[str, str] | None = None) -> bytes:
        """The item with another body, and searching a further index beside an expression; as it came without both."""
        header = self.header_line
        if companion is not None:
            rest = {name: value for name, value in self.header.items() if name not in _INDEX_KEYS}
            expression, added = companion
            header = dumps({**rest, **WHOLE, "index": [*expression.split(","), added]})
        return header + b"\n" + (self.body_line if body is None else body) + b"\n"

    def with_body(self, body: Object) -> "SearchItem":
        """The item with the search that its template stands for."""
        return replace(self, body_line=dumps(body), body=body)


def parse_msearch(text: bytes) -> tuple[SearchItem, ...] | None:
    """The items; None if the cluster would not read the request, or reads it in a way that we are not sure of."""
    lines = text.split(b"\n")
    if lines.pop():
        return None  # the cluster wants a newline at the end
    if lines and not lines[0]:
        lines = lines[1:]  # it allows an empty first line
    if len(lines) % 2:
        return None
    items = []
    for header_line, body_line in zip(lines[::2], lines[1::2], strict=True):
        header = parse_search(header_line)
        if header is None:
            return None
        # An empty line is no search; the cluster says so.
        body = parse_search(body_line) if body_line.strip() else None
        items.append(SearchItem(header_line, body_line, header, body))
    return tuple(items)


def statuses_of_items(answer: Json) -> dict[int, int]:
    """The status of each item that the answer tells one of, by position."""
    responses = answer.get("responses") if isinstance(answer, dict) else None
    found = {}
    for position, item in enumerate(responses if isinstance(responses, list) else []):
        status = item.get("status") if isinstance(item, dict) else None
        if isinstance(status, int):
            found[position] = status
    return found


def with_answers(answer: bytes, added: Mapping[int, bytes], took: int) -> bytes:
    """The cluster's answer to some items with answers to others at their places; every other byte as it was."""
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
    return str(value).lower() if isinstance(value, bool) else str(value)
