"""Reads the text that a full-text clause searches for, if it is free text and not an exact match.

Pure. There is one reader for each kind of clause. A reader gives the text, or the reason why it is not embedded.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from sidecar.bridge.searches.outcome import Reason
from sidecar.jsontext import Json, Object

_EXACT_TYPES: Final = frozenset({"phrase", "phrase_prefix"})
_FREE_TYPES: Final = frozenset({"best_fields", "most_fields", "cross_fields"})

# Lucene's classic syntax: fields, phrases, wildcards, fuzziness, boosts, ranges, groups, regular expressions, escapes.
# A "+", "-" or "!" is an operator only at the beginning of a term, so hyphenated words stay words.
_QUERY_STRING_SYNTAX: Final = re.compile(r'[:"*?~^()\[\]{}\\/<>]|&&|\|\||(?:^|\s)[+\-!]|(?:^|\s)(?:AND|OR|NOT)(?:\s|$)')
_SIMPLE_SYNTAX: Final = re.compile(r'["*~()\\+|]|(?:^|\s)-')

TextReader: TypeAlias = Callable[[Json, frozenset[str]], "str | Reason"]


def _match(spec: Json, text_fields: frozenset[str]) -> str | Reason:
    if not isinstance(spec, dict) or len(spec) != 1:
        return Reason.QUERY_TYPE
    name, options = next(iter(spec.items()))
    if name not in text_fields:
        return Reason.UNBOUND_FIELDS
    return _words(options if isinstance(options, dict) else {"query": options}, "operator")


def _multi_match(spec: Json, text_fields: frozenset[str]) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    kind = spec.get("type", "best_fields")
    if kind in _EXACT_TYPES:
        return Reason.EXACT_MATCH
    if kind not in _FREE_TYPES:
        return Reason.QUERY_TYPE  # such as bool_prefix, whose last word is not complete
    return _words(spec, "operator") if _searches(spec, text_fields, "fields") else Reason.UNBOUND_FIELDS


def _combined_fields(spec: Json, text_fields: frozenset[str]) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    return _words(spec, "operator") if _searches(spec, text_fields, "fields") else Reason.UNBOUND_FIELDS


def _query_string(spec: Json, text_fields: frozenset[str]) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    if spec.get("type") in _EXACT_TYPES:
        return Reason.EXACT_MATCH
    if not _searches(spec, text_fields, "fields", "default_field"):
        return Reason.UNBOUND_FIELDS
    return _free(_words(spec, "default_operator"), _QUERY_STRING_SYNTAX)


def _simple_query_string(spec: Json, text_fields: frozenset[str]) -> str | Reason:
    if not isinstance(spec, dict):
        return Reason.QUERY_TYPE
    if not _searches(spec, text_fields, "fields"):
        return Reason.UNBOUND_FIELDS
    words = _words(spec, "default_operator")
    return words if spec.get("flags") == "NONE" else _free(words, _SIMPLE_SYNTAX)


TEXT_READERS: Final[Mapping[str, TextReader]] = {
    "match": _match,
    "multi_match": _multi_match,
    "combined_fields": _combined_fields,
    "query_string": _query_string,
    "simple_query_string": _simple_query_string,
}


def _searches(spec: Object, text_fields: frozenset[str], *keys: str) -> bool:
    """Whether one of the fields of a clause feeds the vector. Fields may be patterns, and may have boosts."""
    patterns = [str(name).partition("^")[0] for name in _named(spec, keys)]
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in text_fields)


def _named(spec: Object, keys: tuple[str, ...]) -> Iterator[Json]:
    given = next((spec[key] for key in keys if spec.get(key) not in (None, [])), "*")
    yield from given if isinstance(given, list) else [given]  # no field: index.query.default_field, which is "*"


def _words(options: Object, operator: str) -> str | Reason:
    if str(options.get(operator, "or")).lower() == "and" or "minimum_should_match" in options:
        return Reason.EXACT_MATCH
    text = options.get("query")
    return text if isinstance(text, str) and text.strip() else Reason.NO_TEXT


def _free(words: str | Reason, syntax: re.Pattern[str]) -> str | Reason:
    return Reason.EXACT_MATCH if not isinstance(words, Reason) and syntax.search(words) else words
