"""What the user meant by a query: which texts score, and which constraints a hit must meet.

Pure: a table of rules on the query tree. In doubt a query has no text, and stays as it is.
"""

import fnmatch
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from sidecar.jsontext import Json

Object: TypeAlias = dict[str, Json]


class Mode(StrEnum):
    """How a search is answered; all but NEURAL can be asked for."""

    OFF = "off"
    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    HYBRID = "hybrid"
    NEURAL = "neural"  # the client wrote `neural` clauses itself


class Reason(StrEnum):
    """Why a search was not made semantic (`X-Sidecar-Search: lexical; reason=…`)."""

    AGGREGATIONS = "aggregations"  # they stay the lexical query's
    BINDING = "binding"  # the index's own search mode
    EMBEDDER_BUSY = "embedder_busy"
    EMBEDDER_DEADLINE = "embedder_deadline"
    EMBEDDER_UNAVAILABLE = "embedder_unavailable"
    EXACT_MATCH = "exact_match"
    EXACT_TOTALS = "exact_totals"
    FUSION = "fusion"  # the binding asks for a way of fusing that is not built
    HIDDEN_SOURCE = "hidden_source"  # the client may not see a field that the vector was made of
    MIN_SCORE = "min_score"
    MIXED_INDICES = "mixed_indices"
    NO_TEXT = "no_text"
    NOT_UNDERSTOOD = "not_understood"  # the body is not a JSON object, or is encoded in a way we do not read
    OPTION = "option"
    QUERY_TYPE = "query_type"
    REFUSED = "refused"  # the cluster refused the rewritten search, so the original was sent
    REQUEST = "request"  # the client asked for it
    SCROLL = "scroll"
    SEARCH_PIPELINE = "search_pipeline"
    SIZE_ZERO = "size_zero"
    SORT = "sort"
    SPACE = "space"  # the served model's space is not the index's
    UNBOUND = "unbound"
    UNBOUND_FIELDS = "unbound_fields"
    WINDOW = "window"


_EXACT_QUERIES: Final = frozenset({"match_phrase", "match_phrase_prefix"})
_EXACT_TYPES: Final = frozenset({"phrase", "phrase_prefix"})
_FUZZY_TYPES: Final = frozenset({"best_fields", "most_fields", "cross_fields"})
_BOOL_KEYS: Final = frozenset({"must", "should", "filter", "must_not", "boost", "_name", "adjust_pure_negative"})


@dataclass(slots=True)
class Intent:
    """What the user meant by a query: its scoring texts, and the constraints that a hit must meet."""

    text_fields: frozenset[str]
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
        clauses: Object = {}
        if self.filters:
            clauses["filter"] = self.filters
        if self.must_not:
            clauses["must_not"] = self.must_not
        return {"bool": clauses} if clauses else None

    def take(self, query: Json) -> Reason | None:
        """Read a whole query; a reason if it cannot have a vector leg."""
        kind, spec = _clause(query)
        if kind == "bool":
            return self._take_bool(spec, is_required=True)
        if kind in ("match", "multi_match"):
            return self._take_text(kind, spec)
        if kind in _EXACT_QUERIES:
            return Reason.EXACT_MATCH
        return Reason.NO_TEXT if kind in ("", "match_all", "match_none") else Reason.QUERY_TYPE

    def _take_text(self, kind: str, spec: Json) -> Reason | None:
        read = _match_text(spec, self.text_fields) if kind == "match" else _multi_match_text(spec, self.text_fields)
        if isinstance(read, Reason):
            return read
        self.texts[read] = None
        return None

    def _take_bool(self, spec: Json, *, is_required: bool) -> Reason | None:
        if not isinstance(spec, dict):
            return Reason.QUERY_TYPE
        if "minimum_should_match" in spec:
            return Reason.EXACT_MATCH
        if not spec.keys() <= _BOOL_KEYS:
            return Reason.QUERY_TYPE
        if not is_required and (spec.get("filter") or spec.get("must_not")):
            return Reason.QUERY_TYPE  # a constraint of one alternative cannot be asked of every hit
        for clause in clauses(spec.get("must")):
            reason = self._take_must(clause, is_required=is_required)
            if reason is not None:
                return reason
        for clause in clauses(spec.get("should")):
            reason = self._take_should(clause)
            if reason is not None:
                return reason
        self.filters += clauses(spec.get("filter"))
        self.must_not += clauses(spec.get("must_not"))
        return None

    def _take_must(self, clause: Json, *, is_required: bool) -> Reason | None:
        kind, spec = _clause(clause)
        if kind == "bool":
            return self._take_bool(spec, is_required=is_required)
        if kind in _EXACT_QUERIES:
            return Reason.EXACT_MATCH
        reason: Reason | None = Reason.UNBOUND_FIELDS
        if kind in ("match", "multi_match"):
            reason = self._take_text(kind, spec)
        if reason in (Reason.UNBOUND_FIELDS, Reason.NO_TEXT):  # not a text of ours: a constraint like any other
            if not is_required:
                return Reason.QUERY_TYPE
            self.filters.append(clause)
            return None
        return reason

    def _take_should(self, clause: Json) -> Reason | None:
        kind, spec = _clause(clause)
        if kind == "bool":
            return self._take_bool(spec, is_required=False)
        if kind in ("match", "multi_match"):
            reason = self._take_text(kind, spec)
            if reason is not None and not self.texts:
                self.why_no_text = reason
        elif kind in _EXACT_QUERIES and not self.texts:
            self.why_no_text = Reason.EXACT_MATCH  # a phrase beside the words is only a boost
        return None


def _clause(query: Json) -> tuple[str, Json]:
    if isinstance(query, dict) and len(query) == 1:
        return next(iter(query.items()))
    return ("" if not query else "?"), None


def clauses(value: Json) -> list[Json]:
    """One clause, a list of them, or none, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _match_text(spec: Json, text_fields: frozenset[str]) -> str | Reason:
    if not isinstance(spec, dict) or len(spec) != 1:
        return Reason.QUERY_TYPE
    name, options = next(iter(spec.items()))
    if name not in text_fields:
        return Reason.UNBOUND_FIELDS
    return _text_of(options if isinstance(options, dict) else {"query": options})


def _multi_match_text(spec: Json, text_fields: frozenset[str]) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    kind = spec.get("type", "best_fields")
    if kind in _EXACT_TYPES:
        return Reason.EXACT_MATCH
    if kind not in _FUZZY_TYPES:
        return Reason.QUERY_TYPE
    names = spec.get("fields", "*")  # none named: index.query.default_field, which is "*"
    patterns = [str(name).partition("^")[0] for name in (names if isinstance(names, list) else [names])]
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in text_fields):
        return Reason.UNBOUND_FIELDS
    return _text_of(spec)


def _text_of(options: Object) -> str | Reason:
    if str(options.get("operator", "or")).lower() == "and" or "minimum_should_match" in options:
        return Reason.EXACT_MATCH
    text = options.get("query")
    return text if isinstance(text, str) and text.strip() else Reason.NO_TEXT
