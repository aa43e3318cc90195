"""NDJSON of a bulk request <-> items; sub-bulks; the answers of several sub-bulks as one.

What is not understood exactly as OpenSearch's BulkRequestParser would is not parsed at all (`parse_bulk` gives None):
the original bytes then go to the cluster, whose own error is the answer.
"""

from collections.abc import Iterator, Mapping, Sequence
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
class Item:
    """One operation: its action line and (but for delete) its source line, as they came, without line ends."""

    action: Action
    index: str
    id: str | None
    action_line: bytes
    source_line: bytes | None
    is_malformed: bool = False  # the source of a document that a pipeline will see is not a JSON object

    @property
    def size(self) -> int:
        """Bytes in the request."""
        return len(self.action_line) + 1 + (0 if self.source_line is None else len(self.source_line) + 1)

    def render(self) -> bytes:
        lines = (self.action_line,) if self.source_line is None else (self.action_line, self.source_line)
        return b"\n".join(lines) + b"\n"


def parse_bulk(body: bytes, path_index: str | None) -> tuple[Item, ...] | None:
    """The items of a bulk request in order; None if the cluster would refuse the request, or we are not sure.

    A last action without its source line is dropped, as the cluster does.
    """
    if not body.endswith(b"\n"):
        return None
    items: list[Item] = []
    lines = iter(body[:-1].split(b"\n"))
    for line in lines:
        if not line.strip():
            continue
        head = _parse_action(line, path_index)
        if head is None:
            return None
        action, index, identifier = head
        source = None
        if action is not Action.DELETE:
            source = next(lines, None)
            if source is None:
                break
            source = source.removesuffix(b"\r")
            if not source.strip():
                return None
        items.append(Item(action, index, identifier, line, source))
    return tuple(items) or None


def _parse_action(line: bytes, path_index: str | None) -> tuple[Action, str, str | None] | None:
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
    return action, index, None if identifier is None else str(identifier)


def split_bulk(items: Sequence[Item], max_bytes: int) -> Iterator[tuple[Item, ...]]:
    """Cut into sub-bulks of at most `max_bytes` (an item that is larger goes alone), order kept.

    Malformed documents go apart from the others: OpenSearch runs a pipeline on a batch of documents, and one that does
    not parse fails the whole batch (seen on 2.19.1).
    """
    part: list[Item] = []
    size = 0
    for item in items:
        if part and (size + item.size > max_bytes or item.is_malformed != part[-1].is_malformed):
            yield tuple(part)
            part, size = [], 0
        part.append(item)
        size += item.size
    if part:
        yield tuple(part)


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


def failed_item(item: Item, status: int, error_type: str, reason: str) -> bytes:
    """The answer to an item that failed in the bridge. 429: the client may retry; 400: it must not."""
    error = {"type": error_type, "reason": reason}
    return dumps({item.action: {"_index": item.index, "_id": item.id, "status": status, "error": error}})


def insert_failures(answer: BulkAnswer, failures: Mapping[int, bytes]) -> BulkAnswer:
    """Put the answers to items that were never sent at their positions in the request."""
    answered = list(elements(b"[" + (answer.items or b"") + b"]"))
    sent, count = iter(answered), len(answered) + len(failures)
    items = [failures[position] if position in failures else next(sent) for position in range(count)]
    return BulkAnswer(answer.took, answer.ingest_took, True, b",".join(items))
