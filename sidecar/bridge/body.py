"""Read the body of a write or a search: whole, decoded, never more than the limits allow."""

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sidecar.errors import ErrorKind, InvalidInput, SidecarError

_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
_MAX_RATIO: Final = 200  # of decoded to sent bytes, past the first megabytes: a bomb, not a document
_RATIO_FLOOR: Final = 10 * 1024 * 1024


@dataclass(eq=False)
class BodyTooLarge(SidecarError):
    """The decoded body is larger than the bridge (and the cluster) takes."""

    limit: int
    kind = ErrorKind.TOO_LARGE

    def __str__(self) -> str:
        return f"the decoded request body is larger than the limit of [{self.limit}] bytes"


@dataclass(eq=False)
class BridgeOverloaded(SidecarError):
    """The bodies in work together leave no room for another."""

    limit: int
    kind = ErrorKind.OVERLOADED

    def __str__(self) -> str:
        return f"the bodies of all requests in work exceed the limit of [{self.limit}] bytes"


@dataclass(frozen=True, slots=True)
class Body:
    """A request body as it was sent and as it reads."""

    sent: bytes
    decoded: bytes | None  # None: in a coding that we do not read


class BodyReader:
    """Reads bodies within a limit for each and a limit for all of them together."""

    def __init__(self, max_body_bytes: int, max_inflight_bytes: int) -> None:
        self._max_body = max_body_bytes
        self._max_inflight = max_inflight_bytes
        self._inflight = 0

    @asynccontextmanager
    async def read(self, request: web.BaseRequest) -> AsyncIterator[Body]:
        """The body; its bytes count as in work until the context ends. Raises BodyTooLarge, BridgeOverloaded."""
        held = 0
        try:
            if (request.content_length or 0) > self._max_body:
                raise BodyTooLarge(self._max_body)
            await continue_if_expected(request)
            chunks: list[bytes] = []
            async for chunk in request.content.iter_any():
                held += len(chunk)
                self._inflight += len(chunk)
                if held > self._max_body:
                    raise BodyTooLarge(self._max_body)
                if self._inflight > self._max_inflight:
                    raise BridgeOverloaded(self._max_inflight)
                chunks.append(chunk)
            sent = b"".join(chunks)
            yield Body(sent, decode(sent, request.headers.get("Content-Encoding", ""), self._max_body))
        finally:
            self._inflight -= held


async def continue_if_expected(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue` when the body is really wanted."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # an interim answer: aiohttp may still answer with an error


def decode(sent: bytes, coding: str, limit: int) -> bytes | None:
    """Undo a content coding; None if it is one that we do not read.

    Raises BodyTooLarge, and InvalidInput for bytes that are not in that coding.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return sent
    if coding not in ("gzip", "x-gzip", "deflate"):
        return None
    decoded, rest = bytearray(), sent
    while rest:  # a gzip stream may have several members
        inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            decoded += inflate.decompress(rest, limit - len(decoded) + 1)
        except zlib.error as error:
            raise InvalidInput("request body", f"is not valid {coding}") from error
        if len(decoded) > limit or len(decoded) > max(_RATIO_FLOOR, _MAX_RATIO * len(sent)):
            raise BodyTooLarge(limit)
        if not inflate.eof:
            raise InvalidInput("request body", f"the {coding} stream is cut off")
        rest = inflate.unused_data
    return bytes(decoded)
