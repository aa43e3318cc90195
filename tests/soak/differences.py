"""What differs between the two answers to a request, and which differences are documented."""

import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.soak.sent import Sent
from tests.support.http import Answer

# They differ between any two requests, or between any two indices.
_OF_A_REQUEST: Final = frozenset(
    {"_node", "_scroll_id", "_seq_no", "_primary_term", "_shard", "_shards", "index_uuid", "node", "stack_trace", "took",
     "ingest_took", "took_in_millis", "uuid"}
)  # fmt: skip
_GIVEN_ID_LENGTH: Final = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, without what differs between any two requests. `value` is None if it is no JSON."""

    status: int
    value: Any
    found_by: str  # how the bridge searched
    stored: list[Any] = field(default_factory=list)  # the documents afterwards

    @property
    def error(self) -> str | None:
        """The type of the error that refuses the request as a whole."""
        return _type_of(self.value.get("error")) if isinstance(self.value, dict) else None


@dataclass(frozen=True, slots=True)
class Compared:
    """A request, and the answers to it: about a bound index through the bridge, and about an unbound one directly."""

    sent: Sent
    through: Seen
    direct: Seen


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that is meant, and the page that tells users of it."""

    why: str
    page: str
    holds: Callable[[Compared], bool]


CLOSED: Final = Seen(0, None, "")  # the server hung up


def _is_refused_by_the_check(one: Compared) -> bool:
    return one.through.status == one.direct.status == 400 and "_bulk" in one.sent.path


DIFFERENCES: Final = (
    Difference(
        "where the cluster closes the connection because a body is damaged, the bridge answers",
        "docs/security.md",
        lambda one: one.direct.status == CLOSED.status and one.through.status in (400, 503),
    ),
    Difference(
        "an update is not sent in a bulk with an action line that the bridge cannot read",
        "docs/errors.md",
        lambda one: "the bridge cannot read an action line of it" in str(one.through.value),
    ),
    Difference(
        "a bulk that is refused may be refused in the words of the check, and in JSON",
        "docs/errors.md",
        _is_refused_by_the_check,
    ),
)


def comparable(answer: Answer, index: str) -> Seen:
    body = answer.body
    if answer.headers.get("Content-Encoding") in ("gzip", "deflate") and body:
        body = zlib.decompress(body, zlib.MAX_WBITS | 32)
    try:
        value = _same(json.loads(body.replace(index.encode(), b"INDEX")))
    except ValueError:
        value = None
    return Seen(answer.status, value, answer.headers.get("X-Sidecar-Search", "").partition(";")[0])


def differences(compared: Compared) -> list[str]:
    """Each difference between the answers that no row of DIFFERENCES tells of."""
    found = list(_differences(compared))
    return [] if found and any(row.holds(compared) for row in DIFFERENCES) else found


def outcomes(seen: Seen) -> list[dict[str, Any]]:
    """What became of each document that the request writes."""
    if not isinstance(seen.value, dict):
        return []
    if isinstance(items := seen.value.get("items"), list):
        return [one for item in items if isinstance(item, dict) for one in item.values() if isinstance(one, dict)]
    return [seen.value] if "result" in seen.value else []


def is_given(identifier: object) -> bool:
    """Whether the cluster chose this id."""
    return isinstance(identifier, str) and len(identifier) == _GIVEN_ID_LENGTH


def _differences(compared: Compared) -> Iterator[str]:
    through, direct = compared.through, compared.direct
    if through.status != direct.status:
        yield f"status {through.status} for {direct.status}"
    if through.error != direct.error:
        yield f"error {through.error} for {direct.error}"
    ours, theirs = (list(map(_told, outcomes(one))) for one in (through, direct))
    if ours != theirs:
        yield f"outcomes {ours} for {theirs}"
    if through.stored != direct.stored:
        yield f"stored {through.stored} for {direct.stored}"
    is_whole = direct.status < 300 and not theirs and through.found_by in ("", "lexical")
    if is_whole and through.value != direct.value:
        yield f"body {through.value} for {direct.value}"


def _told(outcome: dict[str, Any]) -> tuple[Any, ...]:
    identifier = outcome.get("_id")
    named = "given" if is_given(identifier) else identifier
    return named, outcome.get("status"), outcome.get("result"), outcome.get("_version"), _type_of(outcome.get("error"))


def _type_of(error: Any) -> str | None:
    return error.get("type") if isinstance(error, dict) else error


def _same(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _same(one) for name, one in value.items() if name not in _OF_A_REQUEST}
    if isinstance(value, list):
        return [_same(one) for one in value]
    return re.sub(r"\[-?[0-9a-f]{22,}\]", "[id]", value) if isinstance(value, str) else value
