"""What differs between the two answers to a request, and which differences are documented."""

import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

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


class Outcome(NamedTuple):
    """What an answer tells of one document."""

    id: str | None
    status: int | None
    result: str | None
    version: int | None
    error: str | None

    @property
    def is_named_by_the_cluster(self) -> bool:
        return isinstance(self.id, str) and len(self.id) == _GIVEN_ID_LENGTH

    @property
    def shown(self) -> "Outcome":
        """The same without an id that differs between any two requests. A refused document may have got none."""
        return self._replace(id=None if self.error else "given") if self.is_named_by_the_cluster else self

    @property
    def why(self) -> tuple[int | None, str | None]:
        return self.status, self.error


@dataclass(frozen=True, slots=True)
class Compared:
    """A request, and the answers to it: about a bound index through the bridge, and about an unbound one directly."""

    sent: Sent
    through: Seen
    direct: Seen


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that is meant, in the words of docs/security.md."""

    why: str
    holds: Callable[[Compared], bool]


CLOSED: Final = Seen(0, None, "")  # the server hung up


def _is_read_for_the_guard(one: Compared) -> bool:
    ours, theirs = outcomes(one.through), outcomes(one.direct)
    return (
        len(ours) == len(theirs)
        and all(
            our.shown == their.shown
            or (our.why == (400, "parse_exception") and their.why == (400, "mapper_parsing_exception"))
            for our, their in zip(ours, theirs, strict=True)
        )
        and one.through.stored == one.direct.stored
    )


def _has_half_a_pair(outcome: Outcome) -> bool:
    return isinstance(outcome.id, str) and any("\ud800" <= character <= "\udfff" for character in outcome.id)


def _stored_alike(one: Compared) -> bool:
    """Whether the sides hold the same documents of this run. Those with half a pair in their ids are not among them."""
    return one.through.status == one.direct.status and one.through.stored == one.direct.stored


def _both_refuse(one: Compared) -> bool:
    return one.through.status == 400 <= one.direct.status < 500 and one.through.stored == one.direct.stored


# The type of a refusal by the check.
_OF_THE_CHECK: Final = frozenset({"action_request_validation_exception"})

DIFFERENCES: Final = (
    Difference(
        "where the cluster closes the connection because a body is damaged, the bridge answers 400 or 503",
        lambda one: one.direct.status == CLOSED.status and one.through.status in (400, 503),
    ),
    Difference(
        "an update is not sent in a bulk with an action line that the bridge cannot read",
        lambda one: "the bridge cannot read an action line of it" in str(one.through.value),
    ),
    Difference(
        "an update with a script is sent alone, so it is not sent if its `_id` has half a surrogate pair",
        # Later requests meet the document, too: its id is that of no run.
        lambda one: any(map(_has_half_a_pair, outcomes(one.direct))) and _stored_alike(one),
    ),
    Difference(
        "a bulk that is refused may be refused in the words of the check, and in JSON",
        lambda one: (
            "_bulk" in one.sent.path
            and _both_refuse(one)
            and (one.direct.value is None or _type_of_whole(one.through) in _OF_THE_CHECK)
        ),
    ),
    Difference(
        "the answer to a bulk that the bridge composes is json, also where yaml is asked for",
        lambda one: (
            "_bulk" in one.sent.path
            and "yaml" in f"{one.sent.path} {one.sent.headers}"
            and (one.through.status, one.through.stored) == (one.direct.status, one.direct.stored)
        ),
    ),
    Difference(
        "a document that is broken within is refused by the reader of ingest pipelines, to which the guard belongs",
        _is_read_for_the_guard,
    ),
    Difference(
        "a document that is no json may be refused for that before anything else",
        lambda one: _type_of_whole(one.through) == "mapper_parsing_exception" and _both_refuse(one),
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


def outcomes(seen: Seen) -> list[Outcome]:
    """What became of each document that the request writes, or of the request."""
    value = seen.value if isinstance(seen.value, dict) else {}
    if isinstance(items := value.get("items"), list):
        return [_outcome(one) for item in items if isinstance(item, dict) for one in item.values()]
    return [_outcome({"status": seen.status, **value})]


def _type_of_whole(seen: Seen) -> str | None:
    return _type_of(seen.value.get("error")) if isinstance(seen.value, dict) else None


def _outcome(told: Any) -> Outcome:
    one = told if isinstance(told, dict) else {}
    return Outcome(
        one.get("_id"), one.get("status"), one.get("result"), one.get("_version"), _type_of(one.get("error"))
    )


def _differences(compared: Compared) -> Iterator[str]:
    through, direct = compared.through, compared.direct
    if through.status != direct.status:
        yield f"status {through.status} for {direct.status}"
    ours, theirs = outcomes(through), outcomes(direct)
    if [one.shown for one in ours] != [one.shown for one in theirs]:
        yield f"outcomes {ours} for {theirs}"
    if through.stored != direct.stored:
        yield f"stored {through.stored} for {direct.stored}"
    is_whole = direct.status < 300 and not any(one.result for one in theirs) and through.found_by in ("", "lexical")
    if is_whole and through.value != direct.value:
        yield f"body {through.value} for {direct.value}"


def _type_of(error: Any) -> str | None:
    return error.get("type") if isinstance(error, dict) else error


def _same(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _same(one) for name, one in value.items() if name not in _OF_A_REQUEST}
    if isinstance(value, list):
        return [_same(one) for one in value]
    return re.sub(r"\[-?[0-9a-f]{22,}\]", "[id]", value) if isinstance(value, str) else value
