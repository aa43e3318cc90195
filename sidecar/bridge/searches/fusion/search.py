"""Runs a search that the bridge fuses itself: legs, fusion, page, answer. Read this module from top to bottom."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.proxy.budget import PARSED_TIMES, Share
from sidecar.bridge.proxy.headers import Headers
from sidecar.bridge.proxy.upstream import AnswerTooLarge, Upstream, read_held_answer
from sidecar.bridge.searches.fusion.answer import Found, Refused, compose, read_legs, read_page
from sidecar.bridge.searches.fusion.explanations import explanations
from sidecar.bridge.searches.fusion.legs import explain_request, legs_request, page_request
from sidecar.bridge.searches.fusion.ranking import Candidates, Ranked, ranking
from sidecar.bridge.searches.fusion.request import FusedSearch, HitKey, Shard, plan_legs
from sidecar.bridge.searches.limits import MAX_ANSWER_BYTES, MAX_LEGS_BYTES, TOO_DEEP
from sidecar.bridge.searches.planner import PlannedSearch
from sidecar.bridge.searches.rewrite.defaults import without_defaults
from sidecar.bridge.searches.rewrite.pipelines import page_processors
from sidecar.bridge.searches.rewrite.plan import TextSearch, vector_leg
from sidecar.bridge.searches.rewrite.tie_breakers import in_order, is_ahead, is_behind
from sidecar.jsontext import Json, Object, loads, loads_exact
from sidecar.model import Fusion
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

# Headers of the client that are not sent. The bridge reads the answers, so they must be uncompressed JSON. The requests
# have other bodies.
_NOT_OURS: Final = frozenset({"accept", "accept-encoding", "content-encoding", "content-length", "content-type"})
_RELAYED: Final = frozenset({"warning", "x-opaque-id"})
_MAX_AT_ONCE_BYTES: Final = 4 * 1024 * 1024
# As if the cluster had refused the legs, so the client's own search is sent.
_UNREADABLE: Final = 400
_OTHER_RANKING: Final = 400  # a cursor of BM25 scores: the page before it was lexical


def fused_search(planned: PlannedSearch, plan: TextSearch) -> FusedSearch:
    """Make the argument of `search_fused` from a planned search. Our fields are excluded from its hits."""
    changed, excludes = planned.hiding()
    given, url = without_defaults({**(planned.asked.body or {}), **changed}, planned.asked.url)
    url = {name: value for name, value in url.items() if name not in plan.consumed}
    if excludes:
        url["_source_excludes"] = ",".join([*filter(None, [url.get("_source_excludes")]), *excludes])
    shards = (Shard(number, index.name) for index in planned.indices for number in range(index.shards))
    described = plan_legs(
        {**given, "query": plan.query},
        vector_leg(plan, planned.vectors[0]),
        plan.window,
        shards,
        url,
        token=f"s{secrets.token_hex(4)}",
        limit=plan.limit,
        processors=_processors(plan, planned.indices),
    )
    known = {**described.parameters, **planned.asked.credentials.parameters}
    return replace(described, body_bytes=planned.asked.size, parameters=known)


def _processors(plan: TextSearch, indices: Sequence[BoundIndex]) -> tuple[Object, ...] | None:
    """The response processors for the page. None if there is no pipeline to replace."""
    if isinstance(plan.pipeline, dict):
        return tuple(page_processors(plan.pipeline) or ())
    return () if any(index.search_pipeline is not None for index in indices) else None


@dataclass(frozen=True, slots=True)
class FusedAnswer:
    """The answer to a fused search, or the cluster's error."""

    status: int
    body: Json
    headers: Headers
    size: int = 0  # bytes of the cluster's own answers, which says how long this one takes to write


async def search_fused(
    upstream: Upstream, path: str, headers: Headers, search: FusedSearch, fusion: Fusion, *, share: Share
) -> FusedAnswer:
    """Answer a search with the client's own credentials. `path` is `…/_search` or `…/_msearch`, as the client wrote it.

    If a document is changed or deleted between the phases, the next one takes its place. `share` counts the bytes of
    the cluster's answers. Raises ClusterUnreachable, BridgeOverloaded, and AnswerTooLarge if the requests or answers of
    the phases are too large to be held here.
    """
    started = time.perf_counter()
    phases = _Phases(upstream, path, headers, search, share)
    found = await _legs(phases, search)
    while not isinstance(found, Refused):
        ranked, left = await off_the_loop(phases.weight, _ranked, search, found, fusion)
        is_short = found.is_cut and _end(search, ranked, left) > search.depth
        deeper = search.deeper() if is_short or (found.is_cut and _lacks_groups(search, found, ranked)) else None
        if deeper is None:
            break
        search = deeper
        found = await _legs(phases, search)
    if isinstance(found, Refused):
        return FusedAnswer(found.status, found.body, phases.relayed)
    best = next(iter(ranked.values()), None)
    if best is not None and is_ahead(search.cursor, best):
        return FusedAnswer(_OTHER_RANKING, None, phases.relayed)
    if is_short:
        return FusedAnswer(400, _too_deep(search), phases.relayed)
    page = await _page(phases, search, found, left)
    if isinstance(page, Refused):
        return FusedAnswer(page.status, page.body, phases.relayed)
    shown, unmatched = page
    explained = await _explained(phases, search, found, fusion, {d: left[d] for d in shown}) if search.explains else {}
    if isinstance(explained, Refused):
        return FusedAnswer(explained.status, explained.body, phases.relayed)
    hits = [({**hit, **explained.get(document, {})}, left[document]) for document, hit in shown.items()]
    took = round((time.perf_counter() - started) * 1_000)
    body = compose(search, found, hits, extra=found.extra + unmatched, max_score=best, took=took)
    return FusedAnswer(200, body, phases.relayed, phases.size)


async def _legs(phases: "_Phases", search: FusedSearch) -> Found | Refused:
    if search.legs_size > MAX_LEGS_BYTES:
        raise AnswerTooLarge
    responses = await phases.ask(await off_the_loop(WEIGHT_OF_JSON * search.legs_size, legs_request, search))
    if isinstance(responses, Refused):
        return responses
    return await off_the_loop(phases.weight, read_legs, search, responses)


def _ranked(search: FusedSearch, found: Found, fusion: Fusion) -> tuple[Ranked, Ranked]:
    """Every document with its score, the best first, and of these the ones behind the cursor."""
    ranked, keys, cursor = ranking(found.shards, search.window, fusion), search.tie_breakers, search.cursor
    if not keys:
        return ranked, ranked
    ordered = in_order(ranked, found.values, keys)
    if cursor is None:
        return ordered, ordered
    return ordered, {d: score for d, score in ordered.items() if is_behind(score, found.values[d], cursor, keys)}


def _end(search: FusedSearch, ranked: Ranked, left: Ranked) -> int:
    """The place of the last hit of the page in the ranking. Up to the depth, a ranking of several shards is whole."""
    return len(ranked) - len(left) + search.start + search.size


def _too_deep(search: FusedSearch) -> Object:
    reason = (
        f"Result window is too large: {TOO_DEEP} [{search.limit}] hits. "
        "Read all pages with the parameter sidecar=lexical to read further."
    )
    error: Object = {"type": "illegal_argument_exception", "reason": reason}
    return {"error": {"root_cause": [error], **error}, "status": 400}


def _lacks_groups(search: FusedSearch, found: Found, ranked: Ranked) -> bool:
    """Whether the candidates have fewer groups than the page needs. Never so without `collapse`."""
    return bool(found.groups) and len({found.groups[document] for document in ranked}) < search.start + search.size


async def _page(
    phases: "_Phases", search: FusedSearch, found: Found, ranked: Ranked
) -> tuple[dict[HitKey, Object], int] | Refused:
    """The hits of the page, and the number of the uncounted vector hits that the lexical query does not match."""
    hits: dict[HitKey, Object] = {}
    shown: set[tuple[Json, Json]] = set()
    candidates, uncounted, unmatched = Candidates(ranked, found.groups), found.uncounted, 0
    for document in candidates.take(search.start):
        candidates.show(document)
    wanted = candidates.take(search.size)
    is_asked = False  # once also for no hits, because the cluster refuses options that it does not understand
    while uncounted or wanted or not is_asked:
        asked = await off_the_loop(WEIGHT_OF_JSON * search.legs_size, page_request, search, wanted, uncounted)
        responses = await phases.ask(asked, exact=True)
        page = responses if isinstance(responses, Refused) else read_page(search, responses, wanted, uncounted)
        if isinstance(page, Refused):
            return page
        is_asked = True
        fetched, more = page
        unmatched += more
        for document in wanted:
            hit = fetched.get(document)
            if hit is None:
                continue
            identity = (hit["_index"], hit["_id"]) if "_id" in hit else document
            if identity not in shown:  # a document that changed between two fetches has two numbers
                shown.add(identity)
                hits[document] = hit
                candidates.show(document)
        wanted, uncounted = candidates.take(search.size - len(hits)), ()
    return {document: hits[document] for document in ranked if document in hits}, unmatched


async def _explained(
    phases: "_Phases", search: FusedSearch, found: Found, fusion: Fusion, scores: Ranked
) -> dict[HitKey, Object] | Refused:
    """The `_explanation` of each hit of the page."""
    if not scores:
        return {}
    asked = await off_the_loop(WEIGHT_OF_JSON * search.legs_size, explain_request, search, list(scores))
    responses = await phases.ask(asked, exact=True)
    if isinstance(responses, Refused):
        return responses
    told = await off_the_loop(phases.weight, explanations, search, found, fusion, scores, responses)
    return {document: {"_explanation": explanation} for document, explanation in told.items()}


class _Phases:
    """Sends the `_msearch` of each phase to the indices of the client's search."""

    def __init__(self, upstream: Upstream, path: str, headers: Headers, search: FusedSearch, share: Share) -> None:
        self._upstream = upstream
        self._share = share
        self.size = 0  # bytes of the answers so far
        query = f"?{urlencode(search.parameters)}" if search.parameters else ""
        self._target = path.rstrip("/").rpartition("/")[0] + "/_msearch" + query
        sent = [(name, value) for name, value in headers if name.lower() not in _NOT_OURS]
        self._headers = [*sent, ("Content-Type", "application/x-ndjson")]
        self.relayed: Headers = []

    @property
    def weight(self) -> int:
        """The weight of work on the answers, for `off_the_loop`."""
        return WEIGHT_OF_JSON * self.size

    async def ask(self, body: bytes, *, exact: bool = False) -> list[Object] | Refused:
        """Send an `_msearch`. Gives the cluster's answers, one for each search.

        `exact` keeps numbers unchanged, because the client will read them. Raises ClusterUnreachable, BridgeOverloaded,
        AnswerTooLarge.
        """
        async with self._upstream.send("POST", self._target, self._headers, body) as response:
            self.relayed = [(name, value) for name, value in response.headers.items() if name.lower() in _RELAYED]
            text = await read_held_answer(response, self._share, MAX_ANSWER_BYTES)
        self.size += len(text)
        self._share.hold_more((PARSED_TIMES - 1) * len(text))
        try:
            parsed = await off_the_loop(WEIGHT_OF_JSON * len(text), _parse, text, exact=exact)
        except ValueError:  # a document is nested more deeply than we can read
            return Refused(_UNREADABLE, None)
        items = parsed.get("responses") if isinstance(parsed, dict) else None
        if response.status != 200 or not isinstance(items, list):
            return Refused(response.status, parsed)
        return [item for item in items if isinstance(item, dict)]


def _parse(text: bytes, *, exact: bool) -> Json:
    """Parse an answer. `loads` is quicker, but keeps the interpreter until it has read everything."""
    try:
        return loads_exact(text) if exact or len(text) > _MAX_AT_ONCE_BYTES else loads(text)
    except ValueError:  # it cannot be written again unchanged
        return loads(text)
