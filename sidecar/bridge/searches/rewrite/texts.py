"""Reads the text that a full-text clause searches for, if it is free text and not an exact match.

Pure. There is one reader for each kind of clause. A reader gives the text, or the reason why it is not embedded.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias
from unicodedata import category

from sidecar.bridge.searches.limits import MAX_FIELDS
from sidecar.bridge.searches.outcome import Reason
from sidecar.bridge.searches.rewrite.field_patterns import FieldPatterns
from sidecar.bridge.searches.rewrite.minimum import asks_nothing
from sidecar.bridge.searches.rewrite.text_fields import TextFields
from sidecar.jsontext import Json, Object, clauses

_EXACT_TYPES: Final = frozenset({"phrase", "phrase_prefix"})
_FREE_TYPES: Final = frozenset({"best_fields", "most_fields", "cross_fields"})

# Lucene's classic syntax: fields, phrases, wildcards, fuzziness, boosts, ranges, groups, regular expressions, escapes.
# A "+", "-" or "!" is an operator only at the beginning of a term, so hyphenated words stay words.
_QUERY_STRING_SYNTAX: Final = re.compile(r'[:"*?~^()\[\]{}\\/<>]|&&|\|\||(?:^|\s)[+\-!]|(?:^|\s)(?:AND|OR|NOT)(?:\s|$)')
_SIMPLE_SYNTAX: Final = re.compile(r'["*~()\\+|]|(?:^|\s)-')

TextReader: TypeAlias = Callable[[Json, TextFields], "str | Reason"]


def _match(spec: Json, fields: TextFields) -> str | Reason:
    if not isinstance(spec, dict) or len(spec) != 1:
        return Reason.QUERY_TYPE
    name, options = next(iter(spec.items()))
    if name not in fields.names:
        return Reason.UNBOUND_FIELDS
    return _words(options if isinstance(options, dict) else {"query": options}, "operator")


def _multi_match(spec: Json, fields: TextFields) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    kind = spec.get("type", "best_fields")
    if _is_one_of(kind, _EXACT_TYPES):
        return Reason.EXACT_MATCH
    if not _is_one_of(kind, _FREE_TYPES):
        return Reason.QUERY_TYPE  # such as bool_prefix, whose last word is not complete
    return _why_not_fields(spec, fields, "fields") or _words(spec, "operator")


def _combined_fields(spec: Json, fields: TextFields) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    return _why_not_fields(spec, fields, "fields") or _words(spec, "operator")


def _query_string(spec: Json, fields: TextFields) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    if _is_one_of(spec.get("type"), _EXACT_TYPES):
        return Reason.EXACT_MATCH
    reason = _why_not_fields(spec, fields, "fields", "default_field")
    return reason or _free(_words(spec, "default_operator"), _QUERY_STRING_SYNTAX)


def _simple_query_string(spec: Json, fields: TextFields) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    reason = _why_not_fields(spec, fields, "fields")
    if reason is not None:
        return reason
    words = _words(spec, "default_operator")
    return words if spec.get("flags") == "NONE" else _free(words, _SIMPLE_SYNTAX)


TEXT_READERS: Final[Mapping[str, TextReader]] = {
    "match": _match,
    "multi_match": _multi_match,
    "combined_fields": _combined_fields,
    "query_string": _query_string,
    "simple_query_string": _simple_query_string,
}


def _why_not_fields(spec: Object, fields: TextFields, *keys: str) -> Reason | None:
    """The reason why the fields of a clause do not feed the vector. They may be patterns, and may have boosts."""
    named = next((spec[key] for key in keys if spec.get(key) not in (None, [])), None)
    if named is None:
        return None if fields.by_default else Reason.UNBOUND_FIELDS
    given = clauses(named)
    if len(given) > MAX_FIELDS:
        return Reason.TOO_LARGE
    patterns = FieldPatterns(str(name) for name in given)
    return None if patterns.match_any(fields.names) else Reason.UNBOUND_FIELDS


def _is_one_of(kind: Json, known: frozenset[str]) -> bool:
    return isinstance(kind, str) and kind in known


def _words(options: Object, operator: str) -> str | Reason:
    if str(options.get(operator, "or")).lower() == "and" or not asks_nothing(options.get("minimum_should_match", 1)):
        return Reason.EXACT_MATCH
    text = options.get("query")
    return text if isinstance(text, str) and _has_word(text) else Reason.NO_TEXT


def _has_word(text: str) -> bool:
    """Whether a text has a letter, a digit or a symbol. A character that this Python does not know may be one."""
    return any((kind := category(one))[0] in "LNS" or kind == "Cn" for one in text)


def _free(words: str | Reason, syntax: re.Pattern[str]) -> str | Reason:
    return Reason.EXACT_MATCH if not isinstance(words, Reason) and syntax.search(words) else words
