"""Decides how a search is answered, and writes the new body.

Pure. `neural` clauses become `knn`. An eligible text query becomes a `hybrid` of itself and `knn`. Any other search is
not rewritten, nor is one with keys that we do not know. There are two steps: `plan_search` decides and lists the texts
to embed, and `rewrite` writes the body with their vectors. A rewrite never shows a client more than it may see, because
the client's filters apply to both legs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar, Final, Literal, TypeAlias

from sidecar.bridge.bindings.indices import MAX_RESULT_WINDOW, BoundIndex, bindings_of_field
from sidecar.bridge.searches.limits import MAX_NEURAL_CLAUSES
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.rewrite.defaults import without_defaults
from sidecar.bridge.searches.rewrite.eligibility import (
    QUERY_PARAMETERS,
    cluster_reason,
    end_of_page,
    option_reason,
    query_of,
)
from sidecar.bridge.searches.rewrite.fusibility import can_fuse
from sidecar.bridge.searches.rewrite.intent import Intent
from sidecar.bridge.searches.rewrite.neural import Vector, neural_texts, with_knn
from sidecar.bridge.searches.rewrite.pipelines import (
    NONE,
    bridge_fusion,
    default_pipeline,
    fusing_pipeline,
    has_normaliser,
)
from sidecar.bridge.searches.rewrite.text_fields import TextFields
from sidecar.jsontext import Json, Object
from sidecar.model import Binding, SearchBinding

_OF_ONE_QUERY: Final = ("explain", "sort")  # they are the cluster's own without `hybrid`

Where: TypeAlias = Literal["cluster", "bridge"]


@dataclass(frozen=True, slots=True)
class Untouched:
    """The client's own search is sent."""

    mode: Mode
    reason: Reason

    is_fused_here: ClassVar = False

    @property
    def note(self) -> str:
        """The value of `X-Sidecar-Search`."""
        return f"{self.mode}; reason={self.reason}"


@dataclass(frozen=True, slots=True)
class TextSearch:
    """A text query that gets a vector leg, or is replaced by it."""

    mode: Mode
    binding: Binding
    search: SearchBinding
    query: Json  # the lexical leg
    text: str
    knn_filter: Object | None
    window: int
    pipeline: str | Object | None = None  # that of client or index. A name is resolved before `rewrite`
    consumed: tuple[str, ...] = ()  # parameters of the URL that the rewritten body replaces
    companion: str | None = None
    where: Where = "cluster"  # where both legs are fused
    may_move: bool = False  # the bridge fuses only to continue the ranking. The cluster could fuse as well
    is_past_end: bool = False  # the page begins behind the last candidate
    limit: int = MAX_RESULT_WINDOW  # of `from` and `size` together
    tells_depth: bool = False  # whether the note says the number of candidates
    is_sorted: bool = False  # fields decide between equal scores

    @property
    def texts(self) -> tuple[tuple[Binding, str], ...]:
        return ((self.binding, self.text),)

    @property
    def is_fused_here(self) -> bool:
        """Whether the bridge fuses both legs."""
        return self.mode is Mode.HYBRID and self.where == "bridge"

    @property
    def note(self) -> str:
        depth = f"; k={self.k}; window={self.window}" if self.tells_depth else ""
        if self.mode is Mode.SEMANTIC:
            return f"semantic; model={self.binding.model}{depth}"
        where = "cluster+companion" if self.companion else self.where
        return f"hybrid; model={self.binding.model}; fusion={self._fusion}; where={where}{depth}"

    @property
    def k(self) -> int:
        """The number of neighbours of the vector leg.

        With fewer than the window, only the lexical leg would fill the last places of the window.
        """
        return max(self.search.k, self.window)

    @property
    def _fusion(self) -> str:
        if isinstance(self.pipeline, dict) and has_normaliser(self.pipeline):
            return "own"
        fusion = self.search.fusion
        if fusion.technique == "rrf":
            return "rrf"
        combination = "" if fusion.combination == "arithmetic_mean" else f":{fusion.combination}"
        lexical, semantic = fusion.weights
        return f"{fusion.technique}{combination}({lexical:g},{semantic:g})"


@dataclass(frozen=True, slots=True)
class NeuralSearch:
    """The client's own `neural` clauses become `knn` clauses."""

    texts: tuple[tuple[Binding, str], ...]
    mode: Mode = Mode.NEURAL

    is_fused_here: ClassVar = False

    @property
    def note(self) -> str:
        models = dict.fromkeys(binding.model for binding, _ in self.texts)
        return f"neural; model={','.join(models)}; clauses={len(self.texts)}"


SearchPlan: TypeAlias = Untouched | TextSearch | NeuralSearch


def plan_search(
    body: Object | None,
    indices: tuple[BoundIndex, ...],
    mode: Mode | None,
    url: Mapping[str, str],
    *,
    names_indices: bool = True,
) -> SearchPlan:
    """Decide how a search of these indices is answered.

    `mode` is the one that the client asks for, and `url` holds the decoded query parameters. `names_indices` says
    whether the request names any. If it names none, the cluster applies no default pipeline of an index. Raises
    InvalidInput for a `neural` clause that cannot be answered.
    """
    if not any(index.binding for index in indices):
        return Untouched(Mode.LEXICAL, Reason.UNBOUND)
    if body is None:
        return Untouched(Mode.LEXICAL, Reason.NOT_UNDERSTOOD)
    neural = plan_neural(body, indices)
    if neural is not None:
        return neural
    if mode is Mode.LEXICAL:
        return Untouched(Mode.LEXICAL, Reason.REQUEST)
    return _plan_text(body, indices, mode, url, default_pipeline(indices) if names_indices else None)


def plan_neural(body: Object, indices: tuple[BoundIndex, ...]) -> NeuralSearch | Untouched | None:
    """The plan for the client's own `neural` clauses. None if there are none.

    Raises InvalidInput for a clause that cannot be answered.
    """
    neural = tuple(islice(neural_texts(body, indices), MAX_NEURAL_CLAUSES + 1))
    if len(neural) > MAX_NEURAL_CLAUSES:
        return Untouched(Mode.LEXICAL, Reason.TOO_LARGE)
    return NeuralSearch(neural) if neural else None


def _plan_text(
    body: Object, indices: tuple[BoundIndex, ...], asked: Mode | None, url: Mapping[str, str], default: str | None
) -> SearchPlan:
    common = _common_search(indices)
    if isinstance(common, Reason):
        return Untouched(Mode.LEXICAL, common)
    binding, search = common
    mode = asked or Mode(search.mode)
    if mode is Mode.LEXICAL:
        return Untouched(Mode.LEXICAL, Reason.BINDING)
    came, (body, url) = url, without_defaults(body, url)
    end = end_of_page(body, url)
    reason = option_reason(body, url)
    if reason is not None or end is None:
        return Untouched(Mode.LEXICAL, reason or Reason.OPTION)
    limit = min(index.result_window for index in indices)
    if end > limit:
        return Untouched(Mode.LEXICAL, Reason.WINDOW)
    search = search.model_copy(update={"window": min(search.window, limit), "k": min(search.k, limit)})
    is_deep = "pit" in body or end > search.window
    way = _way_of_fusing(mode, search, body, url, indices=indices, default=default, is_deep=is_deep)
    if isinstance(way, Reason):
        return Untouched(Mode.LEXICAL, way)
    where, pipeline = way
    may_move = where == "bridge" and not _needs_bridge(search, body, url)
    query = query_of(body, url)
    intent = Intent(TextFields.of(indices, search.field))
    reason = intent.take(query)
    if reason is not None or not intent.text:
        return Untouched(Mode.LEXICAL, reason or intent.why_no_text)
    if "post_filter" in body:  # it stays in the body too. In the `knn` filter it keeps unfit neighbours out of the k
        intent.filters.append(body["post_filter"])
    names = (*QUERY_PARAMETERS, *(("search_pipeline",) if mode is Mode.HYBRID else ()))
    consumed = tuple(name for name in came if name in names or name not in url)
    return TextSearch(
        mode,
        binding,
        search,
        query,
        intent.text,
        intent.knn_filter,
        search.window,
        pipeline,
        consumed,
        where=where,
        may_move=may_move,
        limit=limit,
        is_sorted="sort" in body,
    )


def _way_of_fusing(
    mode: Mode,
    search: SearchBinding,
    body: Object,
    url: Mapping[str, str],
    *,
    indices: tuple[BoundIndex, ...],
    default: str | None,
    is_deep: bool,
) -> tuple[Where, str | Object | None] | Reason:
    """The place where both legs are fused, and the pipeline that the search would run through.

    `is_deep` says that the page may end behind the candidates of the legs. Gives a reason if neither place can fuse.
    """
    pipeline = _own_pipeline(body, url, default)
    if mode is Mode.SEMANTIC:
        body = {name: value for name, value in body.items() if name not in _OF_ONE_QUERY}
    reason = cluster_reason(body, url)
    needs_bridge = _needs_bridge(search, body, url)
    if isinstance(pipeline, Reason):
        return pipeline
    # In the cluster the ranking ends with the candidates. The bridge continues it.
    if mode is Mode.SEMANTIC or search.where == "cluster" or not (needs_bridge or is_deep):
        return reason or ("cluster", pipeline)
    if can_fuse(body, url, indices):
        return "bridge", pipeline
    return reason or (Reason.FUSION if needs_bridge else ("cluster", pipeline))


def _needs_bridge(search: SearchBinding, body: Object, url: Mapping[str, str]) -> bool:
    """Whether the cluster cannot fuse a search, or may not. It has z_score since 3.0."""
    is_unfit = search.fusion.technique == "z_score" or cluster_reason(body, url) is not None
    return search.where == "bridge" or is_unfit


def settled(plan: SearchPlan) -> SearchPlan:
    """The plan, or a lexical one if fields cannot decide between its scores.

    Hits of a leg without weight have the score 0 on each page, so no field decides between all of them.
    """
    if isinstance(plan, TextSearch) and plan.is_fused_here and plan.is_sorted and 0 in plan.search.fusion.weights:
        return Untouched(Mode.LEXICAL, Reason.SORT)
    return plan


def in_bridge(plan: TextSearch, body: Object, url: Mapping[str, str], indices: tuple[BoundIndex, ...]) -> SearchPlan:
    """The plan after the cluster has refused `hybrid`: the bridge fuses if it can, else the search is lexical."""
    if plan.where == "bridge":
        return plan
    if plan.search.where != "auto" or not can_fuse(*without_defaults(body, url), indices):
        return Untouched(Mode.LEXICAL, Reason.FUSION)
    moved = replace(plan, where="bridge", companion=None, may_move=False)
    return moved if plan.pipeline is None else with_pipeline(moved, plan.pipeline)


def in_cluster(plan: TextSearch) -> TextSearch:
    """The plan with the fusion in the cluster, where the ranking ends with the candidates."""
    return replace(plan, where="cluster", may_move=False)


def _common_search(indices: tuple[BoundIndex, ...]) -> tuple[Binding, SearchBinding] | Reason:
    """The binding and the search options that all these indices share. Gives a reason if they do not."""
    searches = [index.binding.search if index.binding else None for index in indices]
    first = searches[0]
    if first is None and not any(searches):
        return Reason.BINDING
    if first is None or any(search is None or _asks(search) != _asks(first) for search in searches[1:]):
        return Reason.MIXED_INDICES
    bound = bindings_of_field(indices, first.field)
    if len(bound) > 1:
        return Reason.MIXED_INDICES
    if any(first.field in index.unfit | index.unmarkable for index in indices):
        return Reason.SPACE
    if not all(index.sees_all_sources for index in indices):
        return Reason.HIDDEN_SOURCE
    return bound[0], first


def _asks(search: SearchBinding) -> SearchBinding:
    return search.model_copy(update={"companion": None})  # a companion does not change the answer


def _own_pipeline(body: Object, url: Mapping[str, str], default: str | None) -> str | Object | Reason | None:
    """The pipeline that this search would run through: inline, by name, or the default of its indices."""
    named = url.get("search_pipeline")
    given = body.get("search_pipeline")
    if isinstance(given, dict):
        return given if named is None else Reason.SEARCH_PIPELINE  # the cluster refuses both together
    if given is not None and not isinstance(given, str):
        return Reason.SEARCH_PIPELINE
    found = named or given or default
    return None if found == NONE else found


def with_pipeline(plan: TextSearch, definition: Json) -> SearchPlan:
    """The plan with the definition of its own pipeline in place of the name.

    The search is lexical if the pipeline cannot be combined with ours.
    """
    if not isinstance(definition, dict) or fusing_pipeline(plan.search.fusion, definition) is None:
        return Untouched(Mode.LEXICAL, Reason.SEARCH_PIPELINE)
    if plan.where == "cluster":
        return replace(plan, pipeline=definition)
    fusion = bridge_fusion(plan.search.fusion, definition)
    if fusion is None and plan.may_move:
        return replace(in_cluster(plan), pipeline=definition)
    if fusion is None:
        return Untouched(Mode.LEXICAL, Reason.SEARCH_PIPELINE)
    return replace(plan, pipeline=definition, search=plan.search.model_copy(update={"fusion": fusion}))


def rewrite(
    body: Object,
    plan: TextSearch | NeuralSearch,
    vectors: tuple[Vector, ...],
    indices: tuple[BoundIndex, ...],
    url: Mapping[str, str] | None = None,
) -> Object:
    """The body to send. `vectors` has one vector for each text of the plan. `body` is not changed."""
    if isinstance(plan, NeuralSearch):
        rewritten = with_knn(body, indices, iter(vectors))
        return rewritten if isinstance(rewritten, dict) else body
    knn: Json = vector_leg(plan, vectors[0])
    rest, _ = without_defaults(body, url or {})
    if plan.mode is Mode.SEMANTIC:
        return {**rest, "query": knn}
    # On 2.19 `hybrid` accepts no filter of its own. The lexical leg has the client's filters, the vector leg a copy.
    hybrid: Json = {"queries": [plan.query, knn], "pagination_depth": plan.window}
    own = plan.pipeline if isinstance(plan.pipeline, dict) else None
    page: Object = {"from": 0, "size": 0} if plan.is_past_end else {}
    return {**rest, **page, "query": {"hybrid": hybrid}, "search_pipeline": fusing_pipeline(plan.search.fusion, own)}


def vector_leg(plan: TextSearch, vector: Vector) -> Object:
    """The `knn` clause of a text search."""
    options: Object = {"vector": list(vector), "k": plan.k}
    if plan.knn_filter is not None:
        options["filter"] = plan.knn_filter
    return {"knn": {plan.binding.field: options}}
