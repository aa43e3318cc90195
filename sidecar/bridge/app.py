"""The bridge as a server: its listeners, its life cycle, and the handler of each route."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sidecar.bridge.admin import admin_app
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.plugin import PluginHandler
from sidecar.bridge.proxy.body import BodyReader, refuse_deep_nesting
from sidecar.bridge.proxy.clients import Clients
from sidecar.bridge.proxy.errors import error_answer, error_body, json_answer, refusal_type
from sidecar.bridge.proxy.headers import FORWARDED_FOR
from sidecar.bridge.proxy.identity import Identity
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.query_string import parameters
from sidecar.bridge.proxy.upstream import Upstream
from sidecar.bridge.reads import Reads
from sidecar.bridge.rights import Rights
from sidecar.bridge.routes import (
    Bulk,
    Document,
    MultiRead,
    MultiSearch,
    PassThrough,
    Plugin,
    Query,
    Read,
    Route,
    Search,
    Update,
    is_plain_read,
    route,
)
from sidecar.bridge.searches.hybrid_support import HybridSupport
from sidecar.bridge.searches.msearch_handler import MultiSearches
from sidecar.bridge.searches.planner import Planner
from sidecar.bridge.searches.query_handler import Queries
from sidecar.bridge.searches.search_handler import Searches
from sidecar.bridge.writes.bulk_handler import Bulks
from sidecar.bridge.writes.document_handler import Documents
from sidecar.bridge.writes.late_texts import LateTexts
from sidecar.bridge.writes.passages import Passages
from sidecar.config import BridgeSettings
from sidecar.errors import ConnectionLost, SidecarError
from sidecar.listening import Limits, listening
from sidecar.ports import Embedder
from sidecar.telemetry import BRIDGE_REQUESTS, BRIDGE_SECONDS, logger, series

_log = logger("bridge")

# The cluster has limits of its own for the head of a request, and refuses in its own words what exceeds them. These are
# larger, so that its refusal is relayed.
_MAX_HEADER_BYTES: Final = 65_536
_MAX_HEADERS: Final = 2_048
_CONTINUE: Final = "100-continue"
_STREAM: Final = "/_bulk/stream"
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})


class Bridge:
    """Answers every request of every client."""

    def __init__(self, settings: BridgeSettings, upstream: Upstream, embedder: Embedder, late: LateTexts) -> None:
        self._upstream = upstream
        self._identity = Identity.of(settings.identity_headers, settings.identity_parameters)
        self._bindings = Bindings(upstream, settings.binding_ttl_s)
        self._bodies = bodies = BodyReader(settings.max_body_bytes, settings.max_inflight_bytes)
        passages = Passages(embedder, late, settings.write_embed_timeout_s)
        for_writes = upstream.limited(settings.write_answer_timeout_s)
        rights = Rights(upstream)
        self._documents = Documents(for_writes, self._bindings, rights, passages, bodies)
        self._bulks = Bulks(for_writes, self._bindings, rights, passages, bodies)
        for_reads = upstream.limited(settings.read_answer_timeout_s)
        self._for_reads = for_reads
        planner = Planner(
            self._bindings, HybridSupport(upstream), embedder, embed_timeout_s=settings.search_embed_timeout_s
        )
        self._searches = Searches(for_reads, planner, bodies)
        self._msearches = MultiSearches(for_reads, planner, bodies)
        self._queries = Queries(planner, bodies)
        self._reads = Reads(for_reads, self._bindings, bodies, self._queries)
        self._clients = Clients(
            settings.trusted_proxies,
            max_requests=settings.max_requests,
            max_client_requests=settings.max_client_requests,
            max_client_bytes=settings.max_client_bytes,
        )
        self._plugin = PluginHandler(
            self._bindings,
            rights,
            embedder,
            bodies,
            embed_roles=settings.embed_roles,
            embed_timeout_s=settings.write_embed_timeout_s,
        )

    async def handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. If a SidecarError is raised, the answer has the shape of an OpenSearch error.

        A connection that is lost when the cluster may have carried the request out is passed on as a lost connection.
        """
        started = time.perf_counter()
        name = "refused"
        try:
            if raw.method in _REFUSED_METHODS:
                return _closing(_refuse(405, f"method [{raw.method}] is not served here"))
            if raw.headers.get("Expect", _CONTINUE).lower() != _CONTINUE:
                return _closing(_refuse(417, f"header Expect: only [{_CONTINUE}] is supported"))
            with self._clients.in_work(self._client_of(raw)) as work:
                request = IncomingRequest(
                    raw, self._identity, is_proxied=self._clients.is_proxy(raw.remote), hold=work.hold
                )
                found = route(request.method, request.path)
                name = type(found).__name__.lower()
                request.check_signature(is_rewritten=not isinstance(found, PassThrough | Query))
                answer = await self._refuse_body(request) or await self._dispatch(request, found)
        except ConnectionLost as error:
            _log.warning("the cluster broke off", action="connection_lost", route=name, error=str(error))
            answer = _lost(raw)
        except SidecarError as error:
            _log.info("a request was refused", action="refused", route=name, kind=error.kind, error=str(error))
            refusal = error_answer(error, parameters(raw.raw_path.partition("?")[2]))
            answer = refusal if raw.content.is_eof() and name != "refused" else _closing(refusal)
        series(BRIDGE_REQUESTS, name, f"{answer.status // 100}xx").inc()
        series(BRIDGE_SECONDS, name).observe(time.perf_counter() - started)
        return answer

    def is_proxy(self, peer: str | None) -> bool:
        """Whether this address is one of a trusted proxy."""
        return self._clients.is_proxy(peer)

    def _client_of(self, raw: web.BaseRequest) -> str:
        return self._clients.client(raw.remote, raw.headers.getall(FORWARDED_FOR, ()))

    async def _refuse_body(self, request: IncomingRequest) -> web.StreamResponse | None:
        """The cluster's own refusal if a client that it does not know asks whether to send its body."""
        return await self._upstream.refuses(request) if request.expects_continue and request.has_body else None

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
            case Read() | MultiRead():
                return await self._reads.handle(request, found)
            case Query(expression):
                return await self._queries.handle(request, self._upstream_of(request), expression)
            case Plugin():
                return await self._plugin.handle(request, found)
            case PassThrough():
                return await self._pass_through(request, found)

    def _upstream_of(self, request: IncomingRequest) -> Upstream:
        """The cluster, with a limited wait for a request that only reads."""
        return self._for_reads if is_plain_read(request.method, request.path, request.query) else self._upstream

    async def _pass_through(self, request: IncomingRequest, found: PassThrough) -> web.StreamResponse:
        try:
            return await self._forward(request, self._upstream_of(request))
        finally:
            if found.changes_bindings:
                self._bindings.forget()

    async def _forward(self, request: IncomingRequest, upstream: Upstream) -> web.StreamResponse:
        """Forward a request. Its body is read first, because JSON that is nested too deeply would end a node of 2.19.

        Only a bulk that is a stream is sent on piece by piece. Raises NestedTooDeeply.
        """
        if not request.has_body or request.path.rstrip("/").endswith(_STREAM):
            return await upstream.forward(request)
        async with self._bodies.read(request) as body:
            await refuse_deep_nesting(request, body)
            return await upstream.forward_read(request, body)


def _refuse(status: int, reason: str) -> web.Response:
    """The answer to a request that is not valid HTTP, or that has no place here."""
    return json_answer(error_body(status, refusal_type(status), reason), status=status)


def _closing(answer: web.Response) -> web.Response:
    """The same answer, after which the connection is closed: nothing that the client sends behind it is read."""
    answer.force_close()
    return answer


def _lost(raw: web.BaseRequest) -> web.Response:
    """Lose the connection to the client as the one to the cluster was lost. Clients know how to go on from there.

    They retry, or ask whether the request was carried out. Many of them do neither after a 503.
    """
    if raw.transport is not None:
        raw.transport.abort()
    return web.Response(status=503)  # nobody gets it


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
        late = await stack.enter_async_context(LateTexts(embedder))
        bridge = Bridge(settings, upstream, embedder, late)
        server = web.Server(
            bridge.handle,
            handler_cancellation=True,  # a client that hangs up cancels the work on its request
            auto_decompress=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
            access_log=None,
        )
        admin = web.AppRunner(admin_app(upstream, lambda: draining), access_log=None)
        admin_address = await stack.enter_async_context(listening(admin, settings.admin_listen, "bridge.admin_listen"))
        limits = Limits(settings.max_connections, settings.max_client_connections, bridge.is_proxy, _refuse)
        runner = web.ServerRunner(server, shutdown_timeout=settings.drain_timeout_s)
        address = await stack.enter_async_context(listening(runner, settings.listen, "bridge.listen", limits=limits))
        try:
            yield Listening(address, admin_address)
        finally:
            draining = True
