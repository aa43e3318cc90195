"""NDJSON of a bulk request <-> items; sub-bulks; the answers of several sub-bulks as one.

What is not understood exactly as OpenSearch's BulkRequestParser would is not parsed at all (`parse_bulk` gives None):
the original bytes then go to the cluster, whose own error is the answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from sidecar.bridge.splice import elements, members
from sidecar.jsontext import dumps


class Action(StrEnum):
    """What a bulk item does."""

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
    """What a bulk item is about: enough to answer for it."""

    action: Action
    index: str
    id: str | None


@dataclass(frozen=True, slots=True)
class Place(Operation):
    """One operation and where its lines stand in the body: from `start` to `end`, `source` between if it has one."""

    start: int
    source: int | None
    end: int


@dataclass(frozen=True, slots=True)
class Item(Operation):
    """One operation: its action line and (but for delete) its source line, as they came, without line ends."""

    action_line: bytes
    source_line: bytes | None
    is_malformed: bool = False  # the source of a document that a pipeline will see is not a JSON object

    def render(self) -> bytes:
        lines = (self.action_line,) if self.source_line is None else (self.action_line, self.source_line)
        return b"\n".join(lines) + b"\n"


def parse_bulk(lines: Iterable[bytes], path_index: str | None) -> tuple[Place, ...] | None:
    """The operations of a bulk request in order; None if the cluster would refuse the request, or we are not sure.

    `lines` are those of the body with their ends. A last action without its source line is dropped, as the cluster
    does.
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
            places.append(Place(waiting.action, waiting.index, waiting.id, waiting_start, start, position))
            waiting = None
        elif last.strip():
            operation = _parse_action(last, path_index)
            if operation is None:
                return None
            if operation.action is Action.DELETE:
                places.append(Place(operation.action, operation.index, operation.id, start, None, position))
            else:
                waiting, waiting_start = operation, start
    return tuple(places) or None if last.endswith(b"\n") else None


def parts(places: Sequence[Place], max_bytes: int) -> Iterator[Sequence[Place]]:
    """Runs of operations whose lines take at most `max_bytes` of the body; one that is larger goes alone."""
    first = 0
    for position, place in enumerate(places):
        if position > first and place.end - places[first].start > max_bytes:
            yield places[first:position]
            first = position
    if first < len(places):
        yield places[first:]


def load(part: Sequence[Place], read: Callable[[int, int], bytes]) -> tuple[Item, ...]:
    """The lines of operations that follow each other; `read` gives the bytes of the body from one place to another."""
    offset = part[0].start
    chunk = read(offset, part[-1].end)

    def line(start: int, end: int) -> bytes:
        return chunk[start - offset : end - offset].removesuffix(b"\n")

    return tuple(
        Item(
            place.action,
            place.index,
            place.id,
            line(place.start, place.end if place.source is None else place.source),
            None if place.source is None else line(place.source, place.end).removesuffix(b"\r"),
        )
        for place in part
    )


def _parse_action(line: bytes, path_index: str | None) -> Operation | None:
    try:
        parsed = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(parsed, dict) or not parsed:
        return None
    name, metadata = next(iter(parsed.items()))
    if name not in _ACTIONS or not isinstance(metadata, dict) or not metadata.keys() <= _PARAMETERS:
        return None
    if any(isinstance(value, dict | list) for key, value in metadata.items() if key != "_source"):
        return None
    index, identifier = metadata.get("_index") or path_index, metadata.get("_id")
    if not isinstance(index, str) or not index:
        return None
    if identifier is None and name in (Action.UPDATE, Action.DELETE):
        return None
    action = Action(name)
    if action is Action.INDEX and metadata.get("op_type") == Action.CREATE:
        action = Action.CREATE
    return Operation(action, index, None if identifier is None else str(identifier))


@dataclass(frozen=True, slots=True)
class SubBulk:
    """Consecutive operations that are sent together, and where their lines stand among all that are sent."""

    operations: tuple[Operation, ...]
    start: int
    end: int


class Outbox:
    """The lines to send, cut into sub-bulks of at most `max_bytes` (an operation that is larger goes alone), in order.

    Malformed documents go apart from the others: OpenSearch runs a pipeline on a batch of documents, and one that does
    not parse fails the whole batch (seen on 2.19.1).
    """

    def __init__(self, write: Callable[[bytes], None], max_bytes: int) -> None:
        self._write = write
        self._max_bytes = max_bytes
        self._full: list[SubBulk] = []
        self._operations: list[Operation] = []
        self._start = self._end = 0
        self._is_malformed = False

    def add(self, item: Item) -> None:
        """Put an item at the end."""
        lines = item.render()
        is_full = self._end + len(lines) - self._start > self._max_bytes
        if self._operations and (is_full or item.is_malformed != self._is_malformed):
            self._close()
        self._is_malformed = item.is_malformed
        self._operations.append(Operation(item.action, item.index, item.id))
        self._write(lines)
        self._end += len(lines)

    def sub_bulks(self) -> list[SubBulk]:
        """What has been put in, in order."""
        if self._operations:
            self._close()
        return self._full

    def _close(self) -> None:
        self._full.append(SubBulk(tuple(self._operations), self._start, self._end))
        self._operations, self._start = [], self._end


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """A bulk answer taken apart; items keep their bytes. What `filter_path` left out is None."""

    took: int | None
    ingest_took: int | None
    errors: bool | None
    items: bytes | None  # what stands between the brackets

    @classmethod
    def parse(cls, body: bytes) -> "BulkAnswer":
        """Raises ValueError if it is not a bulk answer."""
        parsed = orjson.loads(body)
        if not isinstance(parsed, dict):
            raise ValueError("a bulk answer is an object")  # noqa: TRY004
        spans = {member.key: body[member.value_start : member.value_end] for member in members(body)}
        items = spans.get("items")
        return cls(
            parsed.get("took"), parsed.get("ingest_took"), parsed.get("errors"), None if items is None else items[1:-1]
        )

    def render(self) -> bytes:
        """Compact JSON, in the order that the cluster uses."""
        parts = []
        if self.took is not None:
            parts.append(b'"took":%d' % self.took)
        if self.ingest_took is not None:
            parts.append(b'"ingest_took":%d' % self.ingest_took)
        if self.errors is not None:
            parts.append(b'"errors":true' if self.errors else b'"errors":false')
        if self.items is not None:
            parts.append(b'"items":[' + self.items + b"]")
        return b"{" + b",".join(parts) + b"}"


def merge_answers(answers: Sequence[BulkAnswer]) -> BulkAnswer:
    """The answers of consecutive sub-bulks as the one answer of the whole bulk."""

    def total(values: Sequence[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if known else None

    errors = [answer.errors for answer in answers if answer.errors is not None]
    items = [answer.items for answer in answers if answer.items is not None]
    return BulkAnswer(
        total([answer.took for answer in answers]),
        total([answer.ingest_took for answer in answers]),
        any(errors) if errors else None,
        b",".join(part for part in items if part.strip()) if items else None,
    )


def failed_item(operation: Operation, status: int, error_type: str, reason: str) -> bytes:
    """The answer to an item that failed in the bridge. 429: the client may retry; 400: it must not."""
    error = {"type": error_type, "reason": reason}
    return dumps({operation.action: {"_index": operation.index, "_id": operation.id, "status": status, "error": error}})


def insert_failures(answer: BulkAnswer, failures: Mapping[int, bytes]) -> BulkAnswer:
    """Put the answers to items that were never sent at their positions in the request."""
    answered = list(elements(b"[" + (answer.items or b"") + b"]"))
    sent, count = iter(answered), len(answered) + len(failures)
    items = [failures[position] if position in failures else next(sent) for position in range(count)]
    return BulkAnswer(answer.took, answer.ingest_took, True, b",".join(items))
