"""Refuses JSON that is nested more deeply than OpenSearch 3 takes.

Pure. OpenSearch 2.19 has no limit. It reads JSON by recursion, and a body of a few kilobytes with thousands of levels
ends the whole node (`StackOverflowError`).
"""

from dataclasses import dataclass
from typing import Final

from sidecar.errors import ErrorKind, SidecarError
from sidecar.jsontext import nesting_deeper_than

MAX_LEVELS: Final = 1_000  # as in OpenSearch 3 (opensearch.xcontent.depth.max)
TYPE: Final = "stream_constraints_exception"

# The errors that OpenSearch 3 puts around this one: type and reason.
IN_DOCUMENT: Final = ("parse_exception", "Failed to parse content to map")
IN_UPDATE: Final = ("x_content_parse_exception", "[UpdateRequest] failed to parse")


@dataclass(eq=False)
class NestedTooDeeply(SidecarError):
    """Objects and lists stand in each other too deeply. The sentence is that of OpenSearch 3."""

    around: tuple[str, str] | None = None
    kind = ErrorKind.BAD_INPUT

    def __str__(self) -> str:
        return (
            f"Document nesting depth ({MAX_LEVELS + 1}) exceeds the maximum allowed "
            f"({MAX_LEVELS}, from `StreamReadConstraints.getMaxNestingDepth()`)"
        )


def is_too_deep(text: bytes) -> bool:
    """Whether OpenSearch 3 would refuse to read this JSON because of its depth."""
    return nesting_deeper_than(text, MAX_LEVELS)
