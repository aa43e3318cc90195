"""The answers to bulk requests: taken apart, put together, and made here for what was never sent. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from sidecar.bridge.splice import elements, members
from sidecar.bridge.writes.bulk_body import Operation
from sidecar.jsontext import dumps, loads

_ITEMS: Final = b'"items":['


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """A bulk answer taken apart; items keep their bytes."""

    took: int
    ingest_took: int | None  # None: no pipeline ran
    errors: bool
    items: bytes  # what stands between the brackets

    @classmethod
    def parse(cls, body: bytes) -> "BulkAnswer":
        """Raises ValueError if it is not a bulk answer."""
        parsed = orjson.loads(body)
        if not isinstance(parsed, dict) or not {"took", "errors", "items"} <= parsed.keys():
            raise ValueError("not a bulk answer")
        return cls(parsed["took"], parsed.get("ingest_took"), parsed["errors"], _items(body))

    def render(self) -> bytes:
        """Compact JSON, in the order that the cluster uses."""
        ingest_took = b"" if self.ingest_took is None else b',"ingest_took":%d' % self.ingest_took
        errors = b"true" if self.errors else b"false"
        return b'{"took":%d%b,"errors":%b,"items":[%b]}' % (self.took, ingest_took, errors, self.items)


def _items(body: bytes) -> bytes:
    """What stands between the brackets of `items`."""
    start = body.find(_ITEMS)
    if start > 0 and body.endswith(b"]}") and body.count(b"{", 0, start) == 1:  # as the cluster writes it
        return body[start + len(_ITEMS) : -2]
    spans = {member.key: body[member.value_start : member.value_end] for member in members(body)}
    return spans["items"][1:-1]


def merge_answers(answers: Sequence[BulkAnswer]) -> BulkAnswer:
    """The answers of consecutive sub-bulks as the one answer of the whole bulk."""
    ingest_took = [answer.ingest_took for answer in answers if answer.ingest_took is not None]
    return BulkAnswer(
        sum(answer.took for answer in answers),
        sum(ingest_took) if ingest_took else None,
        any(answer.errors for answer in answers),
        b",".join(answer.items for answer in answers if answer.items.strip()),
    )


def answer_of_items(items: Sequence[bytes], took: int, ingest_took: int | None) -> BulkAnswer:
    """The answers to the operations, in order, as one."""
    return BulkAnswer(took, ingest_took, any(item_outcome(item)[1] for item in items), b",".join(items))


def failed_item(operation: Operation, status: int, error_type: str, reason: str) -> bytes:
    """The answer to an item that failed in the bridge. 429: the client may retry; 400: it must not."""
    error = {"type": error_type, "reason": reason}
    return dumps({operation.action: {"_index": operation.index, "_id": operation.id, "status": status, "error": error}})


def answered(answer: BulkAnswer) -> list[bytes]:
    """The answers to the operations, in order."""
    return list(elements(b"[" + answer.items + b"]"))


def item_outcome(item: bytes) -> tuple[int, bool]:
    """Of the answer to one operation: its status, and whether it is an error."""
    (outcome,) = orjson.loads(item).values()
    return outcome["status"], "error" in outcome


def is_noop(item: bytes) -> bool:
    """Of the answer to an update: whether there was nothing to do."""
    return bool(orjson.loads(item).get("update", {}).get("result") == "noop")


def insert_failures(answer: BulkAnswer, failures: Mapping[int, bytes]) -> BulkAnswer:
    """Put the answers to items that were never sent at their positions in the request."""
    sent_answers = answered(answer)
    sent, count = iter(sent_answers), len(sent_answers) + len(failures)
    items = [failures[position] if position in failures else next(sent) for position in range(count)]
    return BulkAnswer(answer.took, answer.ingest_took, True, b",".join(items))


def failed(operations: Sequence[Operation], status: int, error_type: str, reason: str) -> BulkAnswer:
    """The answer where each of these operations failed in the same way."""
    items = b",".join(failed_item(operation, status, error_type, reason) for operation in operations)
    return BulkAnswer(0, None, errors=True, items=items)


def answer_of_part(operations: Sequence[Operation], status: int, body: bytes) -> BulkAnswer:
    """The answer to a later sub-bulk; one that was refused whole becomes an error of each of its items."""
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
