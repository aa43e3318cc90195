"""Refuses JSON that is nested more deeply than OpenSearch 3 takes.

OpenSearch 2.19 has no limit. It reads JSON by recursion, and a body of a few kilobytes with thousands of levels ends
the whole node (`StackOverflowError`).
"""

from dataclasses import dataclass
from typing import Final

from sidecar.bridge.proxy.spool import Spool
from sidecar.errors import ErrorKind, SidecarError
from sidecar.jsontext import nesting_deeper_than
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

MAX_LEVELS: Final = 1_000  # as in OpenSearch 3 (opensearch.xcontent.depth.max)


@dataclass(eq=False)
class NestedTooDeeply(SidecarError):
    """Objects and lists stand in each other too deeply. The sentence is that of OpenSearch 3."""

    kind = ErrorKind.BAD_INPUT

    def __str__(self) -> str:
        return (
            f"Document nesting depth ({MAX_LEVELS + 1}) exceeds the maximum allowed "
            f"({MAX_LEVELS}, from `StreamReadConstraints.getMaxNestingDepth()`)"
        )


async def refuse_deep_nesting(text: Spool | None) -> None:
    """Raise NestedTooDeeply for JSON that OpenSearch 3 would refuse. None is a body in a coding that we do not read."""
    if text is not None and await off_the_loop(WEIGHT_OF_JSON * text.size, _is_too_deep, text):
        raise NestedTooDeeply


def _is_too_deep(text: Spool) -> bool:
    return nesting_deeper_than(text.read(), MAX_LEVELS)
