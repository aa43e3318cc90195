"""What a client asks of a search beside the search itself, in headers and parameters."""

from collections.abc import Mapping

from aiohttp import web

from sidecar.bridge.proxy import headers as wire
from sidecar.bridge.searches.request_options import Wish, read_wish


def wish_of(request: web.BaseRequest, url: Mapping[str, str]) -> Wish:
    """How the client wants its searches to be answered, by parameters or headers. Raises InvalidInput."""
    return read_wish(url, request.headers)


def shows_source(request: web.BaseRequest) -> bool:
    """Whether the client wants to see the fields that the bridge has added."""
    return request.headers.get(wire.SOURCE) == "1"


def wants_explanation(request: web.BaseRequest) -> bool:
    """Whether the client wants to know what was sent to the cluster."""
    return request.headers.get(wire.EXPLAIN) == "1"
