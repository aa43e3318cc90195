"""What tells one call from the others: in its reply, and in the line of the log that says why it was refused."""

import re
from collections.abc import Iterable
from secrets import token_hex
from typing import Final

HEADER: Final = "x-request-id"  # of HTTP, and as metadata of gRPC: proxies such as Envoy send it for both

_MOST_CHARACTERS: Final = 128  # of an id in the log, in a header or in gRPC's trailers, whose size is limited
_SENDABLE: Final = re.compile(f"[!-~]{{1,{_MOST_CHARACTERS}}}")  # in a header: printable ASCII without spaces


def from_headers(headers: Iterable[tuple[str, str | bytes]]) -> str:
    """The id that the caller or a proxy gave the call; else one that is made here."""
    given = next((value for name, value in headers if name.lower() == HEADER), "")
    return given if isinstance(given, str) and _SENDABLE.fullmatch(given) else token_hex(16)


def shortened(request_id: str) -> str:
    """As much of an id as is written where room is limited."""
    return request_id[:_MOST_CHARACTERS]
