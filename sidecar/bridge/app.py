"""The bridge as a server: its listeners, its life cycle, and the handler of each route."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sidecar.bridge.admin import admin_app
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.plugin import PluginHandler
from sidecar.bridge.proxy.body import BodyReader
from sidecar.bridge.proxy.errors import error_answer, error_body, json_answer
from sidecar.bridge.proxy.identity import Identity
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.query_string import parameters
from sidecar.bridge.proxy.upstream import Upstream
from sidecar.bridge.reads import Reads
from sidecar.bridge.rights import Rights
from sidecar.bridge.routes import Bulk, Document, MultiSearch, PassThrough, Plugin, Read, Route, Search, Update, route
from sidecar.bridge.searches.hybrid_support import HybridSupport
from sidecar.bridge.searches.msearch_handler import MultiSearches
from sidecar.bridge.searches.planner import Planner
from sidecar.bridge.searches.search_handler import Searches
from sidecar.bridge.writes.bulk_handler import Bulks
from sidecar.bridge.writes.document_handler import Documents
from sidecar.bridge.writes.passages import Passages
from sidecar.config import BridgeSettings
from sidecar.errors import SidecarError
from sidecar.listening import listening
from sidecar.ports import Embedder
from sidecar.telemetry import BRIDGE_REQUESTS, BRIDGE_SECONDS, logger, series

_log = logger("bridge")

_MAX_HEADER_BYTES: Final = 16_384  # the same as http.max_header_size of OpenSearch
_KEEPALIVE_S: Final = 75.0
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})


class Bridge:
    """Answers every request of every client."""

    def __init__(self, settings: BridgeSettings, upstream: Upstream, embedder: Embedder) -> None:
        self._upstream = upstream
        self._identity = Identity.of(settings.identity_headers, settings.identity_parameters)
        self._bindings = Bindings(upstream, settings.binding_ttl_s)
        bodies = BodyReader(settings.max_body_bytes, settings.max_inflight_bytes)
        passages = Passages(embedder, settings.write_embed_timeout_s)
        for_writes = upstream.limited(settings.write_answer_timeout_s)
        rights = Rights(upstream)
        self._documents = Documents(for_writes, self._bindings, rights, passages, bodies)
        self._bulks = Bulks(for_writes, self._bindings, rights, passages, bodies)
        planner = Planner(
            self._bindings, HybridSupport(upstream), embedder, embed_timeout_s=settings.search_embed_timeout_s
        )
        self._searches = Searches(upstream, planner, bodies)
        self._msearches = MultiSearches(upstream, planner, bodies)
        self._reads = Reads(upstream, self._bindings)
        self._plugin = PluginHandler(
            self._bindings,
            rights,
            embedder,
            bodies,
            embed_roles=settings.embed_roles,
            embed_timeout_s=settings.write_embed_timeout_s,
        )

    async def handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. If a SidecarError is raised, the answer has the shape of an OpenSearch error."""
        started = time.perf_counter()
        name = "refused"
        if raw.method in _REFUSED_METHODS:
            reason = f"method [{raw.method}] is not served here"
            return json_answer(error_body(405, "illegal_argument_exception", reason), status=405)
        try:
            request = IncomingRequest(raw, self._identity)
            found = route(request.method, request.path)
            name = type(found).__name__.lower()
            request.check_signature(is_rewritten=not isinstance(found, PassThrough))
            answer = await self._dispatch(request, found)
        except SidecarError as error:
            _log.info("a request was refused", action="refused", route=name, kind=error.kind, error=str(error))
            answer = error_answer(error, parameters(raw.raw_path.partition("?")[2]))
        series(BRIDGE_REQUESTS, name, f"{answer.status // 100}xx").inc()
        series(BRIDGE_SECONDS, name).observe(time.perf_counter() - started)
        return answer

    async def _dispatch(self, request: IncomingRequest, found: Route) -> web.StreamResponse:
        match found:
            case Bulk():
                return await self._bulks.handle(request, found)
            case Document():
                return await self._documents.write(request, found)
            case Update():
                return await self._documents.update(request, found)
            case Search():
                return await self._searches.handle(request, found)
            case MultiSearch():
                return await self._msearches.handle(request, found)
            case Read():
                return await self._reads.handle(request, found)
            case Plugin():
                return await self._plugin.handle(request, found)
            case PassThrough():
                try:
                    return await self._upstream.forward(request)
                finally:
                    if found.changes_bindings:
                        self._bindings.forget()


class _Protocol(RequestHandler):
    """Answers bad requests with an error in OpenSearch's shape, and logs one line for each.

    The answer does not repeat the bad bytes.
    """

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already") from exc
        if status == 500:
            _log.error("a request failed", action="request_failed", exc_info=exc)
            answer = json_answer(error_body(500, "exception", "internal error in the bridge"), status=500)
        else:
            _log.info("a request is not valid HTTP", action="bad_request", status=status, error=type(exc).__name__)
            answer = json_answer(
                error_body(status, "illegal_argument_exception", "malformed HTTP request"), status=status
            )
        answer.force_close()
        return answer


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=asyncio.get_running_loop(), **self._kwargs)


@dataclass(frozen=True, slots=True)
class Listening:
    """The addresses that the bridge listens on, each as `host:port`."""

    address: str
    admin_address: str


@asynccontextmanager
async def serving(settings: BridgeSettings, embedder: Embedder) -> AsyncIterator[Listening]:
    """Serve until the context ends. Then accept no more requests, finish those in work, and close.

    Raises ConfigurationError if the bridge cannot listen on an address.
    """
    draining = False
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(
            Upstream(settings.upstream, connect_timeout_s=settings.connect_timeout_s, tls_ca=settings.upstream_tls_ca)
        )
        bridge = Bridge(settings, upstream, embedder)
        server = _Server(
            bridge.handle,
            handler_cancellation=True,  # a client that hangs up cancels the work on its request
            auto_decompress=False,
            keepalive_timeout=_KEEPALIVE_S,
            max_field_size=_MAX_HEADER_BYTES,
            access_log=None,
        )
        admin = web.AppRunner(admin_app(upstream, lambda: draining), access_log=None)
        admin_address = await stack.enter_async_context(listening(admin, settings.admin_listen, "bridge.admin_listen"))
        runner = web.ServerRunner(server, shutdown_timeout=settings.drain_timeout_s)
        address = await stack.enter_async_context(listening(runner, settings.listen, "bridge.listen"))
        try:
            yield Listening(address, admin_address)
        finally:
            draining = True
