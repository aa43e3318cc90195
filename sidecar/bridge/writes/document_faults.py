"""Finds the faults of a document that the cluster misses, or fails on, because a bound index has a pipeline. Pure.

An index without a pipeline reads the bytes of a document to their end, and answers 400. A pipeline makes a map of them
first. That reader looks at nothing behind the document, takes what is no object as an empty one, and answers 500 to
bytes that begin like no format that it knows (seen on 2.19.1). The words here are those of an index without a pipeline.
"""

import re
from dataclasses import dataclass
from typing import Final

from sidecar.bridge.splice import end_of_object

REFUSAL: Final = ("mapper_parsing_exception", "failed to parse")


@dataclass(frozen=True, slots=True)
class Fault:
    """The cause of a refusal, in words of the cluster."""

    type: str
    reason: str

    @property
    def cause(self) -> dict[str, str]:
        return {"type": self.type, "reason": self.reason}


_NO_FORMAT: Final = Fault(
    "not_x_content_exception",
    "Compressor detection can only be called on some xcontent bytes or compressed xcontent bytes",
)
_COMPRESSED: Final = rb"DFL\0|\x28\xb5\x2f\xfd"  # which the cluster decompresses
_JSON: Final = rb"(?:\xef\xbb\xbf)?[\t-\r\x1c-\x20]*\{"
_STARTS: Final = {
    form: re.compile(start + b"|" + _COMPRESSED, re.DOTALL)
    for form, start in {
        "json": _JSON,
        "yaml": rb"---|" + _JSON,
        "cbor": rb"(?:\xd9\xd9\xf7)?[\xa0-\xbf]",
        "smile": rb":\)\n.\xfa",
    }.items()
}
# The names of the cluster's parser for what may follow.
_TOKENS: Final = {b"{": "START_OBJECT", b"[": "START_ARRAY", b'"': "VALUE_STRING"}


def fault_at_start(document: bytes, form: str) -> Fault | None:
    """The fault of bytes that do not begin as a document of this format. None if they do."""
    return None if _STARTS[form].match(document) else _NO_FORMAT


def fault_of(document: bytes) -> Fault | None:
    """The fault of JSON that could not be parsed. None if the reader of pipelines notices it, too.

    The JSON is without comments.
    """
    if (fault := fault_at_start(document, "json")) is not None:
        return fault
    # If this place is not the true end, the object has another fault, and would be refused for that.
    rest = document[end_of_object(document) :].lstrip(b" \t\r\n")
    if not rest:
        return None
    token = _TOKENS.get(rest[:1])
    found = f": {token}" if token else ""
    return Fault("illegal_argument_exception", f"Malformed content, found extra data after parsing{found}")
