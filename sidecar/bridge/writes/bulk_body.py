"""Parses the NDJSON of a bulk request into items, and writes items into sub-bulks. Pure.

The parser must read a body exactly as OpenSearch's BulkRequestParser does. If it is not sure of that, `parse_bulk`
gives None.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.bridge.proxy.nesting import is_too_deep
from sidecar.bridge.writes.bulk_action import Action, Operation, parameters_of, parse_action, plain_action
from sidecar.jsontext import Object, plain_document, plain_json

_MAX_ALONE: Final = 64  # malformed documents, so that a body of garbage does not become a request for each line

# The name of the action, each letter as itself or escaped.
_UPDATE: Final = re.compile(b'"%b"' % b"".join(rb"(?:%c|\\u00%x)" % (letter, letter) for letter in b"update"))


@dataclass(frozen=True, slots=True)
class Place(Operation):
    """One operation and the place of its lines in the body.

    The lines reach from `start` to `end`. The source line, if there is one, begins at `source`.
    """

    start: int
    source: int | None
    end: int
    is_too_deep: bool = False


@dataclass(frozen=True, slots=True)
class BulkItem(Operation):
    """One operation, with the bytes of its action line and of its source line, without line ends.

    A delete has no source line.
    """

    action_line: bytes
    source_line: bytes | None
    is_malformed: bool = False  # a pipeline will see the document, and its source is not a JSON object
    is_too_deep: bool = False  # reading the document could end the node

    def with_lines(self, action_line: bytes, source_line: bytes) -> "BulkItem":
        """The same operation with other lines."""
        return BulkItem(self.action, self.index, self.id, action_line, source_line, self.is_malformed)

    def render(self) -> bytes:
        lines = (self.action_line,) if self.source_line is None else (self.action_line, self.source_line)
        return b"\n".join(lines) + b"\n"


def parse_bulk(lines: Iterable[bytes], path_index: str | None) -> tuple[Place, ...] | None:
    """Parse the operations of a bulk request, in order.

    Gives None if the cluster would refuse the request, or if we are not sure. `lines` are the lines of the body with
    their ends. If the last action lacks its source line, it is dropped, as the cluster does.
    """
    places: list[Place] = []
    last = b"\n"
    waiting: Operation | None = None  # for its source line
    start = waiting_start = position = 0
    for last in lines:
        start, position = position, position + len(last)
        if waiting is not None:
            if not last.strip():
                return None
            deep = is_too_deep(last)
            places.append(Place(waiting.action, waiting.index, waiting.id, waiting_start, start, position, deep))
            waiting = None
        elif last.strip():
            operation = parse_action(last, path_index)
            if operation is None:
                return None
            if operation.action is Action.DELETE:
                places.append(Place(operation.action, operation.index, operation.id, start, None, position))
            else:
                waiting, waiting_start = operation, start
    return tuple(places) or None if last.endswith(b"\n") else None


def may_update(lines: Iterable[bytes]) -> bool:
    """Whether a bulk that we cannot read may hold an update. A document that holds the word counts, too."""
    return any(_UPDATE.search(plain_json(line).replace(b"\0", b"")) for line in lines)


def parts(places: Sequence[Place], max_bytes: int) -> Iterator[Sequence[Place]]:
    """Cut operations into parts of at most `max_bytes` of the body. A larger operation is a part alone."""
    first = 0
    for position, place in enumerate(places):
        if position > first and place.end - places[first].start > max_bytes:
            yield places[first:position]
            first = position
    if first < len(places):
        yield places[first:]


def load(part: Sequence[Place], read: Callable[[int, int], bytes]) -> tuple[BulkItem, ...]:
    """Load the lines of consecutive operations. `read` gives the bytes of the body between two places.

    Lines that will be read or changed here are made strict JSON.
    """
    offset = part[0].start
    chunk = read(offset, part[-1].end)

    def line(start: int, end: int) -> bytes:
        return chunk[start - offset : end - offset].removesuffix(b"\n")

    def item(place: Place) -> BulkItem:
        action = line(place.start, place.end if place.source is None else place.source)
        source = None if place.source is None else line(place.source, place.end).removesuffix(b"\r")
        if place.action is Action.UPDATE:
            action, source = plain_action(action), source and plain_json(source)
        elif source is not None:
            source = plain_document(source)
        return BulkItem(place.action, place.index, place.id, action, source, is_too_deep=place.is_too_deep)

    return tuple(map(item, part))


def action_parameters(item: BulkItem) -> Object:
    """The parameters of an item's action line. Numbers may be texts."""
    return parameters_of(item.action_line)


@dataclass(frozen=True, slots=True)
class SubBulk:
    """Consecutive operations that are sent together, and the span of their lines among all lines to send."""

    operations: tuple[Operation, ...]
    start: int
    end: int


class Outbox:
    """The lines to send, in order, cut into sub-bulks of at most `max_bytes`. A larger operation is sent alone.

    OpenSearch runs a pipeline on a batch of documents, and a document that does not parse fails the whole batch (seen
    on 2.19.1). So malformed documents are sent apart from the others, and the first of them each alone: the cluster may
    understand one that we do not.
    """

    def __init__(self, write: Callable[[bytes], None], max_bytes: int) -> None:
        self._write = write
        self._max_bytes = max_bytes
        self._full: list[SubBulk] = []
        self._operations: list[Operation] = []
        self._start = self._end = 0
        self._is_malformed = False
        self._alone = 0

    def add(self, item: BulkItem) -> None:
        """Add an item at the end."""
        lines = item.render()
        is_full = self._end + len(lines) - self._start > self._max_bytes
        goes_alone = item.is_malformed and self._alone < _MAX_ALONE
        if self._operations and (is_full or goes_alone or item.is_malformed != self._is_malformed):
            self._close()
        self._is_malformed = item.is_malformed
        self._alone += goes_alone
        self._operations.append(Operation(item.action, item.index, item.id))
        self._write(lines)
        self._end += len(lines)

    def sub_bulks(self) -> list[SubBulk]:
        """The sub-bulks of all items that were added, in order."""
        if self._operations:
            self._close()
        return self._full

    def _close(self) -> None:
        self._full.append(SubBulk(tuple(self._operations), self._start, self._end))
        self._operations, self._start = [], self._end
