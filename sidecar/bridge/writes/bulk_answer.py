"""Parses and merges answers to bulk requests, and makes answers for operations that were not sent. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sidecar.bridge.splice import elements, members
from sidecar.bridge.writes.bulk_action import Operation
from sidecar.jsontext import Json, at, dumps, loads


class _AsWritten(msgspec.Struct):
    """A bulk answer as the cluster writes it. Items keep their bytes."""

    took: int
    errors: bool
    items: list[msgspec.Raw]
    ingest_took: int | None = None


class _Outcome(msgspec.Struct):
    """The part of an item that the bridge looks at."""

    status: int
    error: object = None
    result: str | None = None


_ANSWER: Final = msgspec.json.Decoder(_AsWritten)
_ITEM: Final = msgspec.json.Decoder(dict[str, _Outcome])


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """A bulk answer, with one item for each operation, in order. Items keep their bytes."""

    took: int
    ingest_took: int | None  # None: no pipeline ran
    errors: bool
    items: tuple[bytes, ...]

    @classmethod
    def parse(cls, body: bytes) -> "BulkAnswer":
        """Parse a bulk answer. Raises ValueError if `body` is not one."""
        try:
            found = _ANSWER.decode(body)
        except (ValueError, RecursionError):  # a lone surrogate, many levels, or no bulk answer
            return _parse_slowly(body)
        return cls(found.took, found.ingest_took, found.errors, tuple(map(bytes, found.items)))

    def render(self) -> bytes:
        """Write compact JSON, with the members in the order that the cluster uses."""
        ingest_took = b"" if self.ingest_took is None else b',"ingest_took":%d' % self.ingest_took
        errors = b"true" if self.errors else b"false"
        return b'{"took":%d%b,"errors":%b,"items":[%b]}' % (self.took, ingest_took, errors, b",".join(self.items))


def _parse_slowly(body: bytes) -> BulkAnswer:
    parsed = loads(body)
    if not isinstance(parsed, dict) or not {"took", "errors", "items"} <= parsed.keys():
        raise ValueError("not a bulk answer")
    took, ingest_took = parsed["took"], parsed.get("ingest_took")
    if not isinstance(took, int) or not isinstance(ingest_took, int | None):
        raise ValueError("not a bulk answer")  # noqa: TRY004 - the text is wrong, not a type of ours
    spans = {member.key: body[member.value_start : member.value_end] for member in members(body)}
    return BulkAnswer(took, ingest_took, parsed["errors"] is True, tuple(elements(spans["items"])))


def merge_answers(answers: Sequence[BulkAnswer]) -> BulkAnswer:
    """Merge the answers to consecutive sub-bulks into the answer to the whole bulk."""
    ingest_took = [answer.ingest_took for answer in answers if answer.ingest_took is not None]
    return BulkAnswer(
        sum(answer.took for answer in answers),
        sum(ingest_took) if ingest_took else None,
        any(answer.errors for answer in answers),
        tuple(item for answer in answers for item in answer.items),
    )


def answer_of_items(items: Sequence[bytes], took: int, ingest_took: int | None) -> BulkAnswer:
    """Make one answer of these items, in order."""
    return BulkAnswer(took, ingest_took, any(item_outcome(item)[1] for item in items), tuple(items))


def failed_item(operation: Operation, status: int, error_type: str, reason: str, **details: object) -> bytes:
    """The answer to an item that failed in the bridge. With status 429 the client may retry, with 400 it must not.

    `details` are further members of the error.
    """
    error = {"type": error_type, "reason": reason, **details}
    return dumps({operation.action: {"_index": operation.index, "_id": operation.id, "status": status, "error": error}})


def refused_item(operation: Operation, refusal: Json) -> bytes:
    """The answer to an item, in the words in which the cluster has refused another one of its kind."""
    items = at(refusal, "items")
    outcome = next(iter(items[0].values())) if isinstance(items, list) and isinstance(items[0], dict) else None
    status = at(outcome, "status")
    error = (str(at(outcome, "error", key)) for key in ("type", "reason"))
    return failed_item(operation, status if isinstance(status, int) else 403, *error)


def item_outcome(item: bytes) -> tuple[int, bool]:
    """The status in the answer to one operation, and whether it is an error."""
    outcome = _outcome(item)
    return outcome.status, outcome.error is not None


def is_noop(item: bytes) -> bool:
    """Whether an update found nothing to change."""
    return _outcome(item).result == "noop"


def _outcome(item: bytes) -> _Outcome:
    try:
        (outcome,) = _ITEM.decode(item).values()
    except (ValueError, RecursionError):  # a lone surrogate, or many levels
        parsed: Any = loads(item)
        (found,) = parsed.values()
        return _Outcome(found["status"], found.get("error"), found.get("result"))
    return outcome


def insert_failures(answer: BulkAnswer, failures: Mapping[int, bytes]) -> BulkAnswer:
    """Insert the answers to items that were not sent, at their positions in the request."""
    sent, count = iter(answer.items), len(answer.items) + len(failures)
    items = tuple(failures[position] if position in failures else next(sent) for position in range(count))
    return BulkAnswer(answer.took, answer.ingest_took, True, items)


def failed(operations: Sequence[Operation], status: int, error_type: str, reason: str) -> BulkAnswer:
    """The answer to operations that all failed in the same way."""
    items = tuple(failed_item(operation, status, error_type, reason) for operation in operations)
    return BulkAnswer(0, None, errors=True, items=items)


def answer_of_part(operations: Sequence[Operation], status: int, body: bytes) -> BulkAnswer:
    """Read the answer to a later sub-bulk. If the cluster refused it whole, each of its items gets that error."""
    if status == 200:
        return BulkAnswer.parse(body)
    try:
        answer = loads(body)
    except ValueError:
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        return failed(operations, status, str(error.get("type")), str(error.get("reason")))
    return failed(operations, status, "exception", "the cluster refused this part of the bulk request")
