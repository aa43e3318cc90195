"""Plans the searches of `_search` and `_msearch`: binds, plans and embeds them, and decides after a refusal."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, TypeAlias

import orjson
from cachetools import TTLCache

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.hidden_fields import hidden_in
from sidecar.bridge.hidden_hits import hide_in_search, hide_in_text
from sidecar.bridge.proxy.identity import Credentials
from sidecar.bridge.searches.embed_budget import EmbedBudget
from sidecar.bridge.searches.hybrid_support import UNKNOWN, WRAPPED, HybridSupport
from sidecar.bridge.searches.limits import TOO_DEEP
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.request_options import RequestOptions
from sidecar.bridge.searches.rewrite.companion import fits, wanted_companion
from sidecar.bridge.searches.rewrite.defaults import without_defaults
from sidecar.bridge.searches.rewrite.neural import Vector, may_hold_neural, refuse_unbound
from sidecar.bridge.searches.rewrite.plan import (
    SearchPlan,
    TextSearch,
    Untouched,
    in_bridge,
    in_cluster,
    plan_neural,
    plan_search,
    rewrite,
    settled,
    with_pipeline,
)
from sidecar.bridge.searches.rewrite.point_in_time import expression_of_point
from sidecar.errors import EmbedderMisbehaved, ErrorKind, InvalidInput, SidecarError
from sidecar.jsontext import Object
from sidecar.model import Binding, Role
from sidecar.ports import Embedder, Lane
from sidecar.provenance import well_formed
from sidecar.telemetry import BRIDGE_QUERY_VECTORS, BRIDGE_SEARCHES, logger, series
from sidecar.threads import WEIGHT_OF_DOCUMENT, WEIGHT_OF_JSON, off_the_loop

_log = logger("bridge")

_EVERY_INDEX: Final = "_all"
_UNBOUND: Final = Untouched(Mode.LEXICAL, Reason.UNBOUND)
_REFUSED: Final = Untouched(Mode.REFUSED, Reason.REFUSED)
_SERVER_ERROR: Final = 500
_REMEMBER_S: Final = 300.0

# The embedder has a cache too, but the call costs a third of a search. A vector of a space never changes.
_QUERIES_BYTES: Final = 16_777_216
_QUERY_CHARACTERS: Final = 1_024  # longer queries are not kept: they are rarely searched again

_FAILURES: Final = {
    ErrorKind.OVERLOADED: Reason.EMBEDDER_BUSY,
    ErrorKind.DEADLINE: Reason.EMBEDDER_DEADLINE,
    ErrorKind.CONFLICT: Reason.SPACE,
    ErrorKind.NOT_FOUND: Reason.SPACE,
}


_PAST_THE_END: Final = b"Reached end of search result"  # of neural-search
_WEIGHT_OF_NUMBER: Final = 16  # of a vector

_Text: TypeAlias = tuple[str, str, str]  # model version, space and text of a query


@dataclass(frozen=True, slots=True)
class RequestedSearch:
    """A search as the client requested it."""

    body: Object | None  # None: we cannot read it exactly
    expression: str | None  # None: the request names no index
    url: Mapping[str, str]  # its parameters, without those that say who the client is
    shows_source: bool
    credentials: Credentials
    size: int = 0  # bytes of the body, or of the search that a template is rendered to
    text: bytes = b""  # the body in UTF-8, read or not

    @property
    def weight(self) -> int:
        """The weight of planning or writing this search, for `off_the_loop`."""
        return WEIGHT_OF_DOCUMENT + WEIGHT_OF_JSON * self.size


@dataclass(frozen=True, slots=True)
class PlannedSearch:
    """A requested search with its plan."""

    asked: RequestedSearch
    indices: tuple[BoundIndex, ...]
    plan: SearchPlan
    vectors: tuple[Vector, ...] = ()
    refusal: InvalidInput | None = None  # the search is not sent, because the client must change it

    @property
    def weight(self) -> int:
        """The weight of writing this search, for `off_the_loop`."""
        return self.asked.weight + _WEIGHT_OF_NUMBER * sum(map(len, self.vectors))

    def hiding(self) -> tuple[Object, tuple[str, ...]]:
        """Keep our fields out of the hits: the members of the body to replace, and the fields to exclude by URL."""
        if self.asked.shows_source:
            return {}, ()
        hidden = hidden_in(self.indices)
        if self.asked.body is None:
            return hide_in_text(self.asked.text, self.asked.url, hidden)
        return hide_in_search(self.asked.body, self.asked.url, hidden)

    def rewritten(self) -> tuple[Object, tuple[str, ...]]:
        """The body to send, and the fields to exclude by URL."""
        changed, excludes = self.hiding()
        body = {**(self.asked.body or {}), **changed}
        if not isinstance(self.plan, Untouched):
            body = rewrite(body, self.plan, self.vectors, self.indices, self.asked.url)
        return body, excludes

    def in_bridge(self) -> "PlannedSearch":
        """Move the fusion of a hybrid search into the bridge, or make the search lexical. Others do not change."""
        if not isinstance(self.plan, TextSearch) or self.plan.mode is not Mode.HYBRID or self.asked.body is None:
            return self
        return replace(self, plan=in_bridge(self.plan, self.asked.body, self.asked.url, self.indices))

    @property
    def may_be_unbound(self) -> bool:
        """Whether a `neural` clause may be on a field that is not bound. It is quick."""
        return self.refusal is None and may_hold_neural(self.asked.text)

    def unbound(self) -> InvalidInput | None:
        """The refusal of a `neural` clause on a field that is not bound. None if there is none."""
        if not self.may_be_unbound:
            return None
        try:
            refuse_unbound(self.asked.body, self.indices)
        except InvalidInput as error:
            return error
        return None

    def as_lexical(self, reason: Reason) -> "PlannedSearch":
        """The client's own search, without our rewrite."""
        return replace(self, plan=Untouched(Mode.LEXICAL, reason), vectors=())


class Planner:
    """Plans searches with the client's own credentials."""

    def __init__(
        self, bindings: Bindings, hybrid: HybridSupport, embedder: Embedder, *, embed_timeout_s: float | None
    ) -> None:
        self._bindings = bindings
        self._hybrid = hybrid
        self._embedder = embedder
        self._budget = EmbedBudget(embedder, embed_timeout_s)
        self._queries: TTLCache[_Text, bytes] = TTLCache(_QUERIES_BYTES, _REMEMBER_S, getsizeof=len)  # vectors as JSON

    async def excludes(self, asked: RequestedSearch) -> tuple[str, ...]:
        """The fields to exclude by URL beside a body that is not planned. Raises ClusterUnreachable."""
        indices = await self._bindings.of_read(asked.expression or _EVERY_INDEX, asked.url, asked.credentials)
        unplanned = PlannedSearch(asked, indices, Untouched(Mode.LEXICAL, Reason.TOO_LARGE))
        return (await off_the_loop(asked.weight, unplanned.hiding))[1]

    async def plan(self, asked: RequestedSearch, options: RequestOptions) -> PlannedSearch:
        """Decide how one search is answered. Raises InvalidInput, ClusterUnreachable."""
        credentials = asked.credentials
        point = None if asked.expression else await off_the_loop(asked.weight, expression_of_point, asked.body)
        expression = asked.expression or point
        indices = await self._bindings.of_read(expression or _EVERY_INDEX, asked.url, credentials)
        tuned = tuple(options.applied_to(index) for index in indices)
        named = expression is not None
        plan = await off_the_loop(
            asked.weight, plan_search, asked.body, tuned, options.mode, asked.url, names_indices=named
        )
        if plan == _UNBOUND and self._bindings.hides(expression or _EVERY_INDEX, asked.url, credentials):
            plan = Untouched(Mode.LEXICAL, Reason.HIDDEN_BINDING)
        if isinstance(plan, TextSearch) and options.sets_depth:
            plan = replace(plan, tells_depth=True)
        if isinstance(plan, TextSearch) and plan.mode is Mode.HYBRID:
            plan = settled(await self._with_own_pipeline(plan, asked.weight, credentials))
        if (
            isinstance(plan, TextSearch)
            and plan.mode is Mode.HYBRID
            and plan.where == "cluster"
            and asked.expression is not None
        ):
            plan = replace(plan, companion=await self._companion(plan, asked, indices, credentials))
        planned = PlannedSearch(asked, indices, plan)
        is_refused = self._hybrid.is_refused(indices, credentials)
        return await off_the_loop(asked.weight, planned.in_bridge) if is_refused else planned

    async def plan_neural(self, asked: RequestedSearch) -> PlannedSearch:
        """Plan a request that is no search: only its `neural` clauses are answered.

        Raises InvalidInput, ClusterUnreachable.
        """
        indices = await self._bindings.of_read(asked.expression or _EVERY_INDEX, asked.url, asked.credentials)
        plan = await off_the_loop(asked.weight, plan_neural, asked.body or {}, indices)
        return PlannedSearch(asked, indices, plan or Untouched(Mode.LEXICAL, Reason.REQUEST))

    async def plan_item(self, asked: RequestedSearch, options: RequestOptions) -> PlannedSearch:
        """Plan one search of an `_msearch`. If it raises InvalidInput, only this search is refused.

        Raises ClusterUnreachable.
        """
        try:
            return await self.plan(asked, options)
        except InvalidInput as error:
            return PlannedSearch(asked, (), _REFUSED, refusal=error)

    async def embed(self, planned: Sequence[PlannedSearch]) -> tuple[PlannedSearch, ...]:
        """Embed the texts of all searches at once. If the embedder fails, the searches become lexical, with its reason.

        Raises the embedder's error if a binding, or a client's `neural` clause, allows no lexical answer.
        """
        texts = dict.fromkeys(text for search in planned for text in _texts(search))
        if not texts:
            return tuple(planned)
        try:
            found = await self._vectors(texts)
        except SidecarError as error:
            if not all(_may_be_lexical(search.plan) for search in planned):
                raise
            _log.warning("a search is lexical only", action="search_lexical", error=str(error))
            reason = _FAILURES.get(error.kind, Reason.EMBEDDER_UNAVAILABLE)
            return tuple(s if isinstance(s.plan, Untouched) else s.as_lexical(reason) for s in planned)
        return tuple(replace(s, vectors=tuple(found[text] for text in _texts(s))) for s in planned)

    async def after(self, planned: PlannedSearch, status: int, answer: bytes) -> PlannedSearch | None:
        """The search to try next, after an answer with this status. None: the answer is for the client.

        The cluster is asked for the reason of a refusal, so that the next search avoids it. Raises ClusterUnreachable.
        """
        plan = planned.plan
        if status == _SERVER_ERROR:
            refusal = await off_the_loop(planned.weight, planned.unbound)
            if refusal is not None:
                return replace(planned, plan=_REFUSED, refusal=refusal)
        if not isinstance(plan, TextSearch):
            return None
        match next_try(plan, status, answer):
            case NextTry.NONE:
                return None
            case NextTry.WITHOUT_COMPANION:
                await self._bindings.check(plan.companion or "", planned.asked.credentials)
                return replace(planned, plan=replace(plan, companion=None))
            case NextTry.EMPTY_PAGE:
                return _past_the_end(planned, plan)
            case NextTry.FUSE_THERE:
                return replace(planned, plan=in_cluster(plan))
            case NextTry.FUSE_HERE:
                await self._hybrid.ask(planned.indices, planned.asked.credentials)
                moved = planned.in_bridge()
                if moved.plan.is_fused_here:
                    return moved
        _log.warning("the cluster refused a rewritten search", action="search_refused")
        return planned.as_lexical(Reason.REFUSED)

    async def _with_own_pipeline(self, plan: TextSearch, weight: int, credentials: Credentials) -> SearchPlan:
        if plan.pipeline is None:
            return plan
        definition = plan.pipeline
        if isinstance(definition, str):
            return with_pipeline(plan, await self._bindings.search_pipeline(definition, credentials))
        return await off_the_loop(weight, with_pipeline, plan, definition)

    async def _companion(
        self, plan: TextSearch, asked: RequestedSearch, indices: tuple[BoundIndex, ...], credentials: Credentials
    ) -> str | None:
        companion = wanted_companion(indices, asked.url)
        # A search with a companion has no partial answers. A search with a time limit may want one.
        body, url = without_defaults(asked.body or {}, asked.url)
        is_limited = "timeout" in url or "timeout" in body
        if companion is None or is_limited or asked.expression == _EVERY_INDEX:
            return None
        found = await self._bindings.of_search(companion, {}, credentials)
        does_fit = await off_the_loop(asked.weight, fits, found, indices[0], (plan.query, plan.knn_filter))
        return companion if does_fit else None

    async def _vectors(self, texts: Iterable[_Text]) -> dict[_Text, Vector]:
        """A vector for each text. There is one call for all new texts of a model, and one budget for all calls."""
        started = asyncio.get_running_loop().time()
        found: dict[_Text, Vector] = {}
        by_model: dict[tuple[str, str], list[str]] = {}
        for wanted in texts:
            known = self._queries.get(wanted)
            if known is not None:
                found[wanted] = orjson.loads(known)
            else:
                model, space, text = wanted
                by_model.setdefault((model, space), []).append(text)
        series(BRIDGE_QUERY_VECTORS, "bridge").inc(len(found))
        deadline = started + (await self._budget.seconds(model for model, _ in by_model) if by_model else 0.0)
        for (model, space), new in by_model.items():
            answer = await self._embedder.embed(
                new,
                Role.QUERY,
                model=model,
                expect_space=space,
                lane=Lane.INTERACTIVE,
                timeout_s=max(deadline - asyncio.get_running_loop().time(), 0.0),
            )
            series(BRIDGE_QUERY_VECTORS, "embedder").inc(len(new))
            for position, text in enumerate(new):
                vector = answer.vector(position)
                if vector is None:
                    raise EmbedderMisbehaved(answer.items[position].error or "a query has no vector")
                # orjson writes the shortest decimals of a float32. They are half as long as those of the same double.
                written = orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY)
                found[model, space, text] = orjson.loads(written)
                if len(text) <= _QUERY_CHARACTERS:
                    self._queries[model, space, text] = written
        return found


class NextTry(Enum):
    """The next attempt at a search whose answer is an error."""

    NONE = auto()  # the answer is for the client
    WITHOUT_COMPANION = auto()
    FUSE_HERE = auto()
    FUSE_THERE = auto()  # the cluster could do it, and these credentials may not send an `_msearch`
    EMPTY_PAGE = auto()  # the cluster refuses a page behind the last hit. The bridge shows it, or asks for its total
    AS_SENT = auto()  # the client's own search, which the cluster may accept


def next_try(plan: TextSearch, status: int, answer: bytes) -> NextTry:
    """Decide on the next attempt by the status and the answer. Each attempt leaves out one of our changes."""
    if plan.companion is not None and (status in (403, 404) or status >= 500):
        return NextTry.WITHOUT_COMPANION
    if plan.is_fused_here:
        if status not in (400, 403) or TOO_DEEP.encode() in answer:
            return NextTry.NONE
        return NextTry.FUSE_THERE if plan.may_move else NextTry.AS_SENT
    if status != 400:
        return NextTry.NONE
    if _PAST_THE_END in answer and not plan.is_past_end:
        return NextTry.EMPTY_PAGE
    may_refuse_hybrid = any(reason.encode() in answer for reason in (UNKNOWN, WRAPPED))
    return NextTry.FUSE_HERE if may_refuse_hybrid else NextTry.AS_SENT


def _past_the_end(planned: PlannedSearch, plan: TextSearch) -> PlannedSearch:
    """The search for a page behind the last hit. It has the same total."""
    moved = planned.in_bridge()
    # The cluster fails at a `hybrid` without hits if there is one shard.
    if moved.plan.is_fused_here or sum(index.shards for index in planned.indices) < 2:
        return moved
    return replace(planned, plan=replace(plan, is_past_end=True, consumed=(*plan.consumed, "from", "size")))


def count_search(plan: SearchPlan) -> None:
    """Count a search in the metrics, by its mode and reason."""
    series(BRIDGE_SEARCHES, plan.mode, plan.reason if isinstance(plan, Untouched) else "").inc()


def _texts(planned: PlannedSearch) -> tuple[_Text, ...]:
    pairs: tuple[tuple[Binding, str], ...] = () if isinstance(planned.plan, Untouched) else planned.plan.texts
    return tuple((binding.model, binding.space, well_formed(text)) for binding, text in pairs)


def _may_be_lexical(plan: SearchPlan) -> bool:
    return isinstance(plan, Untouched) or (isinstance(plan, TextSearch) and plan.search.on_failure == "lexical")
