"""What a client asks of a search beside the search itself, in headers and parameters."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from sidecar.bridge import headers as wire
from sidecar.bridge.searches.reasons import Mode
from sidecar.errors import InvalidInput

_WISHES: Final = (Mode.OFF, Mode.LEXICAL, Mode.SEMANTIC, Mode.HYBRID)


def wish_of(request: web.BaseRequest, url: Mapping[str, str]) -> Mode | None:
    """The mode that the client asks for, by parameter or header. Raises InvalidInput."""
    value = url.get(wire.MODE_PARAMETER, request.headers.get(wire.MODE))
    if value is None:
        return None
    if value not in _WISHES:
        raise InvalidInput(wire.MODE, f"must be one of {', '.join(_WISHES)}, not [{value}]")
    return Mode(value)


def shows_source(request: web.BaseRequest) -> bool:
    """Whether the client wants to see the fields that the bridge has added."""
    return request.headers.get(wire.SOURCE) == "1"


def wants_explanation(request: web.BaseRequest) -> bool:
    """Whether the client wants to know what was sent to the cluster."""
    return request.headers.get(wire.EXPLAIN) == "1"
