"""The names of the documents of a template, and the index names that a pattern matches. Pure.

A template `papers` of binding B8 (8 hex digits of the binding's hash) is installed as

    index template       sidecar-papers
    component templates  sidecar-papers-base, sidecar-papers-B8
    ingest pipeline      sidecar-papers-guard-B8
    search pipeline      sidecar-papers-search-B8
    companion index      papers--companion

Another binding therefore never changes the guard of indices that exist already.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sidecar.errors import InvalidInput
from sidecar.jsontext import value_digest
from sidecar.model import IndexBinding

INDEX_TEMPLATE: Final = "/_index_template/"
COMPONENT_TEMPLATE: Final = "/_component_template/"
INGEST_PIPELINE: Final = "/_ingest/pipeline/"
SEARCH_PIPELINE: Final = "/_search/pipeline/"

_PREFIX: Final = "sidecar-"
_COMPANION: Final = "--companion"  # covered by roles for the template's own indices
_DIGEST_LENGTH: Final = 8
_LONGEST_INDEX_NAME: Final = 255  # bytes, OpenSearch's limit

_TEMPLATE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# Without the characters that OpenSearch refuses in an index name. A pattern may also hold "*".
_INDEX_PATTERN: Final = re.compile(r"[^-_+\s\\/?\"<>|,#:A-Z][^\s\\/?\"<>|,#:A-Z]*")


@dataclass(frozen=True, slots=True)
class TemplateNames:
    """The names of the documents of one template and binding."""

    template: str  # the operator's name for it; also the write alias
    index_template: str
    base: str  # component template with the base mapping
    vector: str  # component template with vector field, provenance and binding
    guard: str  # ingest pipeline
    search: str  # search pipeline
    first_index: str
    companion: str


def names_of(template: str, model: str, binding: IndexBinding) -> TemplateNames:
    """The names of a template under a binding. Raises InvalidInput if the template's own name cannot be used."""
    if not _TEMPLATE_NAME.fullmatch(template):
        raise InvalidInput("template", f"must match {_TEMPLATE_NAME.pattern}, as part of index names; got [{template}]")
    prefix = f"{_PREFIX}{template}"
    digest = value_digest(binding.to_meta())[:_DIGEST_LENGTH]
    first_index = f"{template}--{re.sub('[/@]', '-', model)}-000001"
    if len(first_index) > _LONGEST_INDEX_NAME:
        raise InvalidInput(
            "template", f"the index name [{first_index}] has {len(first_index)} bytes; limit {_LONGEST_INDEX_NAME}"
        )
    return TemplateNames(
        template=template,
        index_template=prefix,
        base=f"{prefix}-base",
        vector=f"{prefix}-{digest}",
        guard=f"{prefix}-guard-{digest}",
        search=f"{prefix}-search-{digest}",
        first_index=first_index,
        companion=companion_of(template),
    )


def companion_of(template: str) -> str:
    """The name of a template's companion index."""
    return template + _COMPANION


def is_companion(path: str) -> bool:
    """Whether a cluster path is that of a companion index."""
    return path.endswith(_COMPANION) and path.count("/") == 1


def check_field_name(field: str) -> None:
    """Raise InvalidInput unless `field` can name a vector field, which is at the top level and has no dots."""
    if not _FIELD_NAME.fullmatch(field):
        raise InvalidInput("field", f"must match {_FIELD_NAME.pattern} (a top-level field); got [{field}]")


def check_patterns(patterns: Iterable[str]) -> None:
    """Raise InvalidInput unless OpenSearch accepts every index pattern, and none matches its own indices."""
    if not tuple(patterns):
        raise InvalidInput("index_patterns", "at least one is needed")
    for pattern in patterns:
        if not _INDEX_PATTERN.fullmatch(pattern) or len(pattern) > _LONGEST_INDEX_NAME:
            raise InvalidInput("index_patterns", f"[{pattern}] cannot be the pattern of an index name")
        if not pattern.strip("*"):
            raise InvalidInput("index_patterns", f"[{pattern}] would bind every index, the cluster's own too")


def owns(template: str, path: str) -> bool:
    """Whether the document at a cluster path belongs to a template, under its present or an earlier binding."""
    name = re.escape(f"{_PREFIX}{template}")
    digest = f"[0-9a-f]{{{_DIGEST_LENGTH}}}"
    patterns = (
        f"{INDEX_TEMPLATE}{name}",
        f"{COMPONENT_TEMPLATE}{name}-(base|{digest})",
        f"{INGEST_PIPELINE}{name}-guard-{digest}",
        f"{SEARCH_PIPELINE}{name}-search-{digest}",
        f"/{re.escape(companion_of(template))}",
    )
    return any(re.fullmatch(pattern, path) for pattern in patterns)


@lru_cache(maxsize=4096)
def overlap(one: str, other: str) -> bool:
    """Whether a name matches both patterns. A name without "*" is a pattern too."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return overlap(one[1:], other) or overlap(one, other[1:])
    if other[0] == "*":
        return overlap(other, one)
    return one[0] == other[0] and overlap(one[1:], other[1:])


def example(pattern: str) -> str:
    """An index name that the pattern matches: the shortest, or one with "0" for "*" if that is no valid name."""
    shortest = pattern.replace("*", "")
    return shortest if _INDEX_PATTERN.fullmatch(shortest) and shortest.strip(".") else pattern.replace("*", "0")
