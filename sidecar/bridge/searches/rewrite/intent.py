"""Reads the intent of a query: the texts that score, and the constraints that a hit must meet.

Pure. There is a rule for each kind of clause in the query. In doubt a query has no text, and is not rewritten.
"""

from dataclasses import dataclass, field
from typing import Final

from sidecar.bridge.searches.outcome import Reason
from sidecar.bridge.searches.rewrite.minimum import minimum_of
from sidecar.bridge.searches.rewrite.text_fields import TextFields
from sidecar.bridge.searches.rewrite.texts import TEXT_READERS
from sidecar.jsontext import Json, Object, clauses

_EXACT_QUERIES: Final = frozenset({"match_phrase", "match_phrase_prefix"})
_MINIMUM: Final = "minimum_should_match"
_BOOL_KEYS: Final = frozenset(
    {"must", "should", "filter", "must_not", "boost", "_name", "adjust_pure_negative", _MINIMUM}
)
_TEXT_QUERIES: Final = _EXACT_QUERIES | TEXT_READERS.keys()
_READ: Final = _TEXT_QUERIES | {"bool", "dis_max"}
_DIS_MAX_KEYS: Final = frozenset({"queries", "tie_breaker", "boost", "_name"})


@dataclass(slots=True)
class Intent:
    """The intent of a query: the texts that score, and the constraints that a hit must meet."""

    text_fields: TextFields
    texts: dict[str, None] = field(default_factory=dict)
    filters: list[Json] = field(default_factory=list)
    must_not: list[Json] = field(default_factory=list)
    why_no_text: Reason = Reason.NO_TEXT

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    @property
    def knn_filter(self) -> Object | None:
        if len(self.filters) == 1 and not self.must_not:
            only = self.filters[0]
            return only if isinstance(only, dict) else None
        found: Object = {}
        if self.filters:
            found["filter"] = self.filters
        if self.must_not:
            found["must_not"] = self.must_not
        return {"bool": found} if found else None

    def take(self, query: Json) -> Reason | None:
        """Read a whole query. Gives a reason if it cannot have a vector leg."""
        kind, spec = _clause(query)
        if kind == "bool":
            return self._take_bool(spec)
        if kind == "dis_max":
            return self._take_dis_max(spec)
        if kind in TEXT_READERS:
            return self._take_text(kind, spec)
        if kind in _EXACT_QUERIES:
            return Reason.EXACT_MATCH
        return Reason.NO_TEXT if kind in ("", "match_all", "match_none") else Reason.QUERY_TYPE

    def _take_text(self, kind: str, spec: Json) -> Reason | None:
        read = TEXT_READERS[kind](spec, self.text_fields)
        if isinstance(read, Reason):
            return read
        self.texts[read] = None
        return None

    def _take_bool(self, spec: Json) -> Reason | None:
        if not isinstance(spec, dict):
            return Reason.QUERY_TYPE
        if not spec.keys() <= _BOOL_KEYS:
            return Reason.QUERY_TYPE
        must, should = clauses(spec.get("must")), clauses(spec.get("should"))
        taken = [self._take_must(clause) for clause in must]
        taken += self._take_should(should, spec.get(_MINIMUM, 0))
        self.filters += clauses(spec.get("filter"))
        self.must_not += clauses(spec.get("must_not"))
        return next((reason for reason in taken if reason is not None), None)

    def _take_should(self, should: list[Json], wanted: Json) -> list[Reason | None]:
        """Read the alternatives of a `bool`. If some must match and none is a text, they are a constraint."""
        minimum = minimum_of(wanted, len(should))
        if minimum != 0 and should and not any(map(self._is_text, should)):
            self.filters.append({"bool": {"should": should, _MINIMUM: wanted}})
        elif minimum is None or minimum > 1:
            return [Reason.EXACT_MATCH]
        return [self._take_alternative(clause) for clause in should]

    def _is_text(self, clause: Json) -> bool:
        inner = Intent(self.text_fields)
        return _clause(clause)[0] in _READ and inner.take(clause) is None and bool(inner.texts)

    def _take_dis_max(self, spec: Json) -> Reason | None:
        """Read `dis_max` as a `bool` of alternatives. The only difference is that the best one scores, not the sum."""
        if not isinstance(spec, dict) or not spec.keys() <= _DIS_MAX_KEYS:
            return Reason.QUERY_TYPE
        taken = [self._take_alternative(clause) for clause in clauses(spec.get("queries"))]
        return next((reason for reason in taken if reason is not None), None)

    def _take_must(self, clause: Json) -> Reason | None:
        kind, _ = _clause(clause)
        if kind not in _READ or not _holds_text(clause):
            self.filters.append(clause)
            return None
        inner = Intent(self.text_fields)
        reason = inner.take(clause) or (None if inner.texts else inner.why_no_text)
        if reason in (Reason.UNBOUND_FIELDS, Reason.NO_TEXT):  # not a text to embed, so a constraint like any other
            self.filters.append(clause)
            return None
        self._join(inner)
        return reason

    def _take_alternative(self, clause: Json) -> Reason | None:
        """Read one of several clauses that a hit may match. Without free text it boosts only the lexical leg."""
        kind, _ = _clause(clause)
        if kind not in _READ:
            return None
        inner = Intent(self.text_fields)
        reason = inner.take(clause) or (None if inner.texts else inner.why_no_text)
        if reason is not None:
            if not self.texts:
                self.why_no_text = reason
            return None
        if inner.filters or inner.must_not:
            return Reason.QUERY_TYPE  # a constraint of one alternative does not apply to every hit
        self._join(inner)
        return None

    def _join(self, inner: "Intent") -> None:
        self.texts |= inner.texts
        self.filters += inner.filters
        self.must_not += inner.must_not


def _clause(query: Json) -> tuple[str, Json]:
    if isinstance(query, dict) and len(query) == 1:
        return next(iter(query.items()))
    return ("" if not query else "?"), None


def _holds_text(node: Json) -> bool:
    """Whether a query may have a full-text clause at any depth."""
    if isinstance(node, dict):
        return not _TEXT_QUERIES.isdisjoint(node) or any(_holds_text(value) for value in node.values())
    return isinstance(node, list) and any(_holds_text(element) for element in node)
