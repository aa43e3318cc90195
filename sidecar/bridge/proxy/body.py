"""Read the body of a write or a search: whole, decoded, never more than the limits allow."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sidecar.bridge.proxy.spool import Spool
from sidecar.errors import BodyTooLarge, ErrorKind, InvalidInput, SidecarError

_LIMIT_SETTING: Final = "bridge.max_body_bytes"
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
_MAX_RATIO: Final = 200  # of decoded to sent bytes, past the first megabytes: a bomb, not a document
_RATIO_FLOOR: Final = 10 * 1024 * 1024
_PIECE_BYTES: Final = 256 * 1024

_PLAIN: Final = frozenset({"", "identity"})
_DEFLATED: Final = frozenset({"gzip", "x-gzip", "deflate"})


@dataclass(eq=False)
class BridgeOverloaded(SidecarError):
    """The bodies in work together leave no room for another."""

    limit: int
    kind = ErrorKind.OVERLOADED

    def __str__(self) -> str:
        return f"the bodies of all requests in work exceed the limit of [{self.limit}] bytes"


@dataclass(frozen=True, slots=True)
class Body:
    """A request body as it was sent and as it reads; both are gone when the request has been answered."""

    sent: Spool
    text: Spool | None  # None: in a coding that we do not read

    @property
    def decoded(self) -> bytes | None:
        """All of the text, for bodies that are small by their nature."""
        return None if self.text is None else self.text.read()


class BodyReader:
    """Reads bodies within a limit for each and a limit for all of them together."""

    def __init__(self, max_body_bytes: int, max_inflight_bytes: int) -> None:
        self._max_body = max_body_bytes
        self._max_inflight = max_inflight_bytes
        self._inflight = 0

    @asynccontextmanager
    async def read(self, request: web.BaseRequest) -> AsyncIterator[Body]:
        """The body; its bytes count as in work until the context ends.

        Raises BodyTooLarge, BridgeOverloaded, SpoolFull, and InvalidInput for a body that is not in its coding.
        """
        held = 0
        with Spool() as sent, Spool() as text:
            try:
                if (request.content_length or 0) > self._max_body:
                    raise BodyTooLarge(self._max_body, _LIMIT_SETTING)
                await continue_if_expected(request)
                async for piece in request.content.iter_any():
                    held += len(piece)
                    self._inflight += len(piece)
                    if held > self._max_body:
                        raise BodyTooLarge(self._max_body, _LIMIT_SETTING)
                    if self._inflight > self._max_inflight:
                        raise BridgeOverloaded(self._max_inflight)
                    sent.write(piece)
                coding = request.headers.get("Content-Encoding", "").strip().lower()
                if coding in _PLAIN:
                    yield Body(sent, sent)
                elif coding not in _DEFLATED:
                    yield Body(sent, None)
                else:
                    await asyncio.to_thread(_decode_into, text, sent, coding, self._max_body)
                    yield Body(sent, text)
            finally:
                self._inflight -= held


async def continue_if_expected(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue` when the body is really wanted."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # an interim answer: aiohttp may still answer with an error


def _decode_into(text: Spool, sent: Spool, coding: str, limit: int) -> None:
    for piece in inflated(sent.pieces(), coding, limit):
        text.write(piece)


def inflated(pieces: Iterable[bytes], coding: str, limit: int) -> Iterator[bytes]:
    """Undo gzip or deflate, a bounded piece at a time.

    Raises BodyTooLarge, and InvalidInput for bytes that are not in that coding.
    """
    inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
    came = gave = 0
    for piece in pieces:
        came += len(piece)
        rest = piece
        while rest:
            if inflate.eof:  # a gzip stream may have several members
                inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                found = inflate.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise InvalidInput("request body", f"is not valid {coding}") from error
            gave += len(found)
            if gave > min(limit, max(_RATIO_FLOOR, _MAX_RATIO * came)):
                raise BodyTooLarge(limit, _LIMIT_SETTING)
            yield found
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    if came and not inflate.eof:
        raise InvalidInput("request body", f"the {coding} stream is cut off")
