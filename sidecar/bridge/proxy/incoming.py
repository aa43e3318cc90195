"""Parses a request of a client once. The handlers read the request only through this module."""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import cached_property
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sidecar.bridge.proxy.headers import ADDED, EXPLAIN, SOURCE, Headers, check_request, to_upstream
from sidecar.bridge.proxy.identity import Credentials, Identity
from sidecar.bridge.proxy.query_string import parameters, with_parameters
from sidecar.bridge.proxy.signature import check_signature, signed_headers
from sidecar.connections import arriving
from sidecar.errors import InvalidInput
from sidecar.places import plain_address

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class IncomingRequest:
    """The method, path and query of a request as the client wrote them, and the meaning of its headers."""

    def __init__(
        self,
        raw: web.BaseRequest,
        identity: Identity,
        *,
        is_proxied: bool = False,
        hold: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Raise InvalidInput for a request that cannot be forwarded faithfully.

        The target must be a path, because the host that a request names must never decide where it goes. It must have
        no fragment, which our HTTP client would cut off. `is_proxied`: the peer is a trusted proxy. `hold` is told of
        each byte of the body that the bridge keeps.
        """
        if not raw.raw_path.startswith("/") or "#" in raw.raw_path:
            raise InvalidInput("request target", "must be a path without [#]")
        self.raw = raw
        self.hold = hold
        self._is_proxied = is_proxied
        self.method = raw.method
        self.target = raw.raw_path
        self.path, _, self.query = raw.raw_path.partition("?")
        # Names keep their case. In a value, bytes that are not UTF-8 become surrogates.
        self.headers: Headers = [
            (name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in raw.raw_headers
        ]
        check_request(self.headers, identity.headers)
        self.identity = identity
        self.credentials: Credentials = identity.credentials(self.headers, self.parameters)

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The decoded parameters of the query."""
        return parameters(self.query) if self.query else {}

    @property
    def peer(self) -> str | None:
        """The address at the other end of the connection."""
        return plain_address(self.raw.remote) if self.raw.remote else None

    @property
    def has_body(self) -> bool:
        return self.raw.body_exists

    @property
    def shows_source(self) -> bool:
        """Whether the client wants to see the fields that the bridge has added."""
        return self.raw.headers.get(SOURCE) == "1"

    @property
    def wants_explanation(self) -> bool:
        """Whether the client wants to see the request that is sent to the cluster."""
        return self.raw.headers.get(EXPLAIN) == "1"

    def header(self, name: str) -> str:
        """The value of a header. "" if the request has no such header."""
        return self.raw.headers.get(name, "")

    def for_upstream(self, *without: str) -> Headers:
        """The headers of this request for the cluster. `without` names further ones to leave out (lower case)."""
        return to_upstream(self.headers, self.peer, without, is_proxied=self._is_proxied)

    def identified(self, target: str) -> str:
        """A target that the bridge has made, with the parameters that say who the client is."""
        path, _, query = target.partition("?")
        query = with_parameters(query, self.credentials.parameters)
        return f"{path}?{query}" if query else path

    def check_signature(self, *, is_rewritten: bool) -> None:
        """Check that a signature of the request stays valid. Raises SignedRequest."""
        signed = signed_headers(self.headers, self.parameters)
        if signed is not None:
            forwarded = {name.lower() for name, _ in self.for_upstream()} - ADDED
            check_signature(signed, forwarded, is_rewritten=is_rewritten)

    @property
    def expects_continue(self) -> bool:
        """Whether the client asks before it sends its body."""
        return self.header("Expect").lower() == "100-continue"

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it comes. A client that asks whether to send it is told to do so.

        Raises SlowBody, and InvalidInput if the body is not valid HTTP.
        """
        if self.expects_continue:
            await self.raw.writer.write(_CONTINUE)
            self.raw.writer.output_size = 0  # an interim answer does not count: aiohttp may still answer with an error
        try:
            async for piece in arriving(self.raw.content):
                yield piece
        except (web.RequestPayloadError, HttpProcessingError) as error:
            raise InvalidInput("request body", "is not valid HTTP") from error
