"""Sends requests to the cluster, over one connection pool. It streams in both directions.

A request that may change something is never sent twice.
"""

import asyncio
import copy
import gzip
import io
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from sidecar.bridge.proxy.body import Body
from sidecar.bridge.proxy.budget import Share
from sidecar.bridge.proxy.headers import Headers, accepts_gzip, to_client
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.connections import Unbranded
from sidecar.errors import ClusterTimedOut, ClusterUnreachable, ConfigurationError, ConnectionLost, SidecarError
from sidecar.jsontext import Json, dumps, loads
from sidecar.ports import Reply
from sidecar.telemetry import logger
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

_log = logger("bridge")

_CALL_TIMEOUT_S = 30.0
_GZIP_LEVEL: Final = 3  # the cluster's own

# The node answers a request that it cannot read with one of these. It keeps the connection open, but may read nothing
# more from it, so that the next request on it would hang.
_UNREAD: Final = frozenset({400, 413, 414, 417, 431})


# Only these errors say for certain that nothing was sent.
_NOT_CONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class _Response(aiohttp.ClientResponse):
    """An answer that keeps its connection until `Upstream.send` has looked at the status."""

    def _response_eof(self) -> None:
        """Do nothing. aiohttp would put the connection back into the pool here, before the status is known."""

    @property
    def is_clean(self) -> bool:
        """Whether the next request may use the connection. It may if this one was sent and answered completely."""
        return self.content.at_eof() and self._writer is None and self.status not in _UNREAD


class Upstream:
    """The cluster behind the bridge. It is an async context manager, and `ports.Cluster` for the bridge's own calls."""

    def __init__(self, url: str, *, connect_timeout_s: float, tls_ca: str = "") -> None:
        """`tls_ca` names a file with the authorities to trust. "" means those of the system.

        Raises ConfigurationError if the file cannot be used.
        """
        self._url = url
        self._tls = trusting(tls_ca) if tls_ca else True
        # There is no total, because a client may wait for _reindex or _forcemerge as long as it likes.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)

    def limited(self, answer_timeout_s: float) -> Self:
        """The same cluster over the same connections, with a limit for its silence after a request. 0: no limit."""
        limited = copy.copy(self)
        limited._timeout = aiohttp.ClientTimeout(  # noqa: SLF001 - a copy of this very object
            total=None, sock_connect=self._timeout.sock_connect, sock_read=answer_timeout_s or None
        )
        return limited

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),  # the Set-Cookie of one client must never reach another
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_field_size=65_536,
            response_class=_Response,
        )
        # Else aiohttp would send PUT and DELETE again if a kept-alive connection dies after the cluster has read them.
        self._session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @asynccontextmanager
    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | IO[bytes] | AsyncIterator[bytes] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request. `target` is the raw path and query.

        A GET or HEAD without a streamed body is sent once more if the connection dies before the answer.
        Raises ClusterUnreachable if there is no connection, ConnectionLost if it ends before an answer begins, and
        ClusterTimedOut if none begins in time.
        """
        url = URL(self._url + target, encoded=True)
        tries = 2 if method in (hdrs.METH_GET, hdrs.METH_HEAD) and isinstance(body, bytes | None) else 1
        while True:
            tries -= 1
            try:
                # Bytes are sent in pieces, so that a large body does not block the event loop.
                data = io.BytesIO(body) if isinstance(body, bytes) else body
                # aiohttp counts silence from the end of the body. A cluster that has stopped may not even read that.
                async with asyncio.timeout(None if isinstance(body, AsyncIterator) else self._timeout.sock_read):
                    response = await self._session.request(
                        method, url, headers=headers, data=data, allow_redirects=False, timeout=self._timeout
                    )
                break
            except (aiohttp.ClientError, TimeoutError) as error:
                if isinstance(error.__cause__, SidecarError):  # the body of the client has failed, not the cluster
                    raise error.__cause__ from None
                if tries and isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
                    continue
                raise _no_answer(self._url, error) from error
        try:
            yield response
        finally:
            _give_back(response)

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | bytes = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """See `ports.Cluster.call`."""
        target = f"{path}?{urlencode(params)}" if params else path
        data = body if isinstance(body, bytes | None) else dumps(body)
        sent = [*(headers or {}).items(), *([("Content-Type", "application/json")] if data else [])]
        try:
            async with asyncio.timeout(_CALL_TIMEOUT_S), self.send(method, target, sent, data) as response:
                answer = await read_answer(response)
        except TimeoutError as error:
            raise ClusterUnreachable(self._url, f"no answer within {_CALL_TIMEOUT_S:g} s") from error
        except ConnectionLost as error:  # the call is ours, nothing of the client's own request was sent
            raise ClusterUnreachable(self._url, error.cause) from error
        try:
            parsed = await off_the_loop(WEIGHT_OF_JSON * len(answer), loads, answer) if answer else None
            return Reply(response.status, parsed, len(answer))
        except ValueError:
            return Reply(response.status, answer.decode("utf-8", "replace"))

    async def forward(self, request: IncomingRequest, target: str | None = None) -> web.StreamResponse:
        """Forward a request. Its body is streamed to the cluster, and the answer to the client.

        `target` replaces the target of the request. Raises ClusterUnreachable, SlowBody, and InvalidInput for a body
        that is not valid HTTP.
        """
        body = request.pieces() if request.has_body else None
        async with self.send(request.method, target or request.target, request.for_upstream(), body) as response:
            return await relay(request, response)

    async def forward_read(
        self,
        request: IncomingRequest,
        body: Body,
        target: str | None = None,
        added: Sequence[tuple[str, str]] = (),
    ) -> web.StreamResponse:
        """Forward a request whose body has been read and does not change. Raises ClusterUnreachable.

        The headers in `added` are added to the answer.
        """
        headers = request.for_upstream("content-length")
        async with self.send(
            request.method, target or request.target, headers, body.sent.payload() or None
        ) as response:
            return await relay(request, response, added)

    async def refuses(self, request: IncomingRequest) -> web.StreamResponse | None:
        """The cluster's 401 to the credentials of a client. None: it knows them."""
        async with self.send(
            hdrs.METH_GET, request.identified("/"), list(request.credentials.headers.items()), None
        ) as response:
            return await relay(request, response) if response.status == 401 else None


def _give_back(response: aiohttp.ClientResponse) -> None:
    """Put the connection back into the pool if it is clean. Close it if not."""
    if isinstance(response, _Response) and response.is_clean:
        response.release()
        return
    transport = response.connection.transport if response.connection is not None else None
    if response.status in _UNREAD and transport is not None:
        transport.abort()  # a close would wait for the end of TLS from a node that may read nothing more
    response.close()


def trusting(authorities: str) -> ssl.SSLContext:
    """An SSL context that trusts the authorities in a PEM file. Raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # ssl also raises it for a file without a certificate
        raise ConfigurationError(f"{authorities}: {error.strerror or error}") from error


class AnswerTooLarge(Exception):
    """An answer of the cluster is larger than the bridge wants to hold in memory."""


async def read_held_answer(response: aiohttp.ClientResponse, share: Share, limit: int) -> bytes:
    """Read an answer that counts among the bytes that the request holds. The limit is that of all its answers.

    Raises AnswerTooLarge, BridgeOverloaded, and ConnectionLost if it breaks off.
    """
    pieces = []
    try:
        async for piece in response.content.iter_any():
            share.answers += len(piece)
            if share.answers > limit:
                raise AnswerTooLarge
            share.hold_more(len(piece))
            pieces.append(piece)
    except aiohttp.ClientError as error:
        raise _no_answer(str(response.url.origin()), error) from error
    return b"".join(pieces)


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """Read the whole body of an answer that the bridge itself needs. Raises ConnectionLost if it breaks off."""
    try:
        return await response.content.read()
    except aiohttp.ClientError as error:
        raise _no_answer(str(response.url.origin()), error) from error


def _no_answer(url: str, error: aiohttp.ClientError | TimeoutError) -> ClusterUnreachable:
    if isinstance(error, aiohttp.SocketTimeoutError) or type(error) is TimeoutError:
        kind: type[ClusterUnreachable] = ClusterTimedOut
    else:
        kind = ClusterUnreachable if isinstance(error, _NOT_CONNECTED) else ConnectionLost
    return kind(url, str(error) or type(error).__name__)


class _Relayed(Unbranded):
    """An answer of the cluster."""

    # The head is sent with the first piece of the body, which mostly arrives at the same time. So there is one write,
    # and the client wakes once.
    _send_headers_immediately = False


async def answer_whole(request: IncomingRequest, status: int, headers: Headers, body: bytes) -> web.Response:
    """Answer with JSON that the bridge has read or written. It is compressed where the cluster would compress it."""
    given = CIMultiDict(headers)
    given.setdefault("Content-Type", "application/json; charset=UTF-8")
    if accepts_gzip(request.header("Accept-Encoding")):
        body = await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL, mtime=0)
        given["Content-Encoding"] = "gzip"
    return web.Response(status=status, headers=given, body=body)


async def relay(
    request: IncomingRequest, response: aiohttp.ClientResponse, added: Sequence[tuple[str, str]] = ()
) -> web.StreamResponse:
    """Stream an answer of the cluster to the client, with the bridge's own headers added.

    If the cluster breaks off, the bridge aborts the connection to the client, because a cut answer must not look whole.
    """
    answer = _Relayed(status=response.status, reason=response.reason)
    for name, value in [*to_client(list(response.headers.items())), *added]:
        answer.headers.add(name, value)
    if not request.raw.content.is_eof():
        answer.force_close()  # the cluster does not want the rest of the body
    await answer.prepare(request.raw)
    try:
        async for chunk in response.content.iter_any():
            await answer.write(chunk)
    except aiohttp.ClientError as error:
        _log.warning("the cluster broke off its answer", action="relay_broken", error=type(error).__name__)
        if request.raw.transport is not None:
            request.raw.transport.abort()
        return answer
    await answer.write_eof()
    return answer
