"""What becomes of a search body: `neural` -> `knn`, eligible text -> a hybrid of itself and `knn`, or nothing.

Pure, in two steps: `plan_search` decides and names the texts to embed, `rewrite` puts the vectors in. Rewriting never
widens what a client may see: its filters hold in both legs. Keys that we do not know keep a query as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sidecar.bridge.intent import Intent, Mode, Object, Reason, clauses
from sidecar.bridge.targets import BoundIndex, bindings_of_field, hidden_fields
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from sidecar.model import MODEL_VERSION_ID, Binding, SearchBinding

MAX_RESULT_WINDOW: Final = 10_000  # index.max_result_window, and the greatest k


@dataclass(frozen=True, slots=True)
class Untouched:
    """The search goes on as it came."""

    mode: Mode
    reason: Reason

    @property
    def note(self) -> str:
        """For `X-Sidecar-Search`."""
        return f"{self.mode}; reason={self.reason}"


@dataclass(frozen=True, slots=True)
class TextSearch:
    """A plain text query that gets a vector leg, or is replaced by it."""

    mode: Mode
    binding: Binding
    search: SearchBinding
    text: str
    knn_filter: Object | None
    window: int

    @property
    def texts(self) -> tuple[tuple[Binding, str], ...]:
        return ((self.binding, self.text),)

    @property
    def note(self) -> str:
        if self.mode is Mode.SEMANTIC:
            return f"semantic; model={self.binding.model}"
        lexical, semantic = self.search.fusion.weights
        fusion = f"{self.search.fusion.technique}({lexical:g},{semantic:g})"
        return f"hybrid; model={self.binding.model}; fusion={fusion}; where=cluster"


@dataclass(frozen=True, slots=True)
class NeuralSearch:
    """The client's own `neural` clauses become `knn` clauses."""

    texts: tuple[tuple[Binding, str], ...]

    @property
    def note(self) -> str:
        models = dict.fromkeys(binding.model for binding, _ in self.texts)
        return f"neural; model={','.join(models)}; clauses={len(self.texts)}"


SearchPlan: TypeAlias = Untouched | TextSearch | NeuralSearch
Vector: TypeAlias = list[float]

_URL_REASONS: Final = {
    "scroll": Reason.SCROLL,
    "sort": Reason.SORT,
    "q": Reason.QUERY_TYPE,
    "search_pipeline": Reason.SEARCH_PIPELINE,
}
_URL_NEUTRAL: Final = frozenset(
    {
        "_source", "_source_includes", "_source_excludes", "allow_no_indices", "allow_partial_search_results",
        "cancel_after_time_interval", "error_trace", "expand_wildcards", "filter_path", "format", "from", "human",
        "ignore_unavailable", "max_concurrent_shard_requests", "phase_took", "preference", "pretty",
        "rest_total_hits_as_int", "routing", "size", "timeout", "track_total_hits", "typed_keys",
    }
)  # fmt: skip
_BODY_REASONS: Final = {
    "aggs": Reason.AGGREGATIONS,
    "aggregations": Reason.AGGREGATIONS,
    "min_score": Reason.MIN_SCORE,
    "search_pipeline": Reason.SEARCH_PIPELINE,
}
_BODY_NEUTRAL: Final = frozenset(
    {
        "_source", "docvalue_fields", "fields", "from", "highlight", "query", "script_fields", "seq_no_primary_term",
        "size", "sort", "stored_fields", "timeout", "track_total_hits", "version",
    }
)  # fmt: skip
_BY_SCORE: Final = ("_score", ["_score"], [{"_score": "desc"}], [{"_score": {"order": "desc"}}], {"_score": "desc"})


def plan_search(
    body: Object | None, indices: tuple[BoundIndex, ...], wish: Mode | None, url: Mapping[str, str]
) -> SearchPlan:
    """Decide what becomes of a search of these indices; `url` holds the decoded query parameters.

    Raises InvalidInput for a `neural` clause that cannot be answered.
    """
    if not any(index.binding for index in indices):
        return Untouched(Mode.LEXICAL, Reason.UNBOUND)
    if body is None:
        return Untouched(Mode.LEXICAL, Reason.NOT_UNDERSTOOD)
    neural = tuple(_neural_texts(body.get("query"), indices))
    if neural:
        return NeuralSearch(neural)
    if wish is Mode.LEXICAL:
        return Untouched(Mode.LEXICAL, Reason.REQUEST)
    return _plan_text(body, indices, wish, url)


def _plan_text(body: Object, indices: tuple[BoundIndex, ...], wish: Mode | None, url: Mapping[str, str]) -> SearchPlan:
    common = _common_search(indices)
    if isinstance(common, Reason):
        return Untouched(Mode.LEXICAL, common)
    binding, search = common
    mode = wish or Mode(search.mode)
    if mode is Mode.LEXICAL:
        return Untouched(Mode.LEXICAL, Reason.BINDING)
    if search.where == "bridge" and mode is Mode.HYBRID:
        return Untouched(Mode.LEXICAL, Reason.FUSION)
    reason = _option_reason(body, url)
    if reason is not None:
        return Untouched(Mode.LEXICAL, reason)
    window = _window(body, url)
    if window is None:
        return Untouched(Mode.LEXICAL, Reason.OPTION)
    if window > MAX_RESULT_WINDOW:
        return Untouched(Mode.LEXICAL, Reason.WINDOW)
    feeding = frozenset.intersection(*(index.text_fields[search.field] for index in indices))
    intent = Intent(feeding)
    reason = intent.take(body.get("query"))
    if reason is not None or not intent.text:
        return Untouched(Mode.LEXICAL, reason or intent.why_no_text)
    return TextSearch(mode, binding, search, intent.text, intent.knn_filter, max(search.window, window))


def _common_search(indices: tuple[BoundIndex, ...]) -> tuple[Binding, SearchBinding] | Reason:
    """The one way in which all these indices are searched by meaning."""
    searches = [index.binding.search if index.binding else None for index in indices]
    first = searches[0]
    if first is None and not any(searches):
        return Reason.BINDING
    if first is None or any(search != first for search in searches):
        return Reason.MIXED_INDICES
    bound = bindings_of_field(indices, first.field)
    if len(bound) > 1:
        return Reason.MIXED_INDICES
    if not all(index.sees_all_sources for index in indices):
        return Reason.HIDDEN_SOURCE
    if any(index.search_pipeline for index in indices):
        return Reason.SEARCH_PIPELINE
    return bound[0], first


def _option_reason(body: Object, url: Mapping[str, str]) -> Reason | None:
    for name in url:
        if name not in _URL_NEUTRAL:
            return _URL_REASONS.get(name, Reason.OPTION)
    for name in body:
        if name not in _BODY_NEUTRAL:
            return _BODY_REASONS.get(name, Reason.OPTION)
    if "sort" in body and body["sort"] not in _BY_SCORE:
        return Reason.SORT
    if body.get("track_total_hits") is True or url.get("track_total_hits") == "true":
        return Reason.EXACT_TOTALS
    if body.get("size") == 0 or url.get("size") == "0":
        return Reason.SIZE_ZERO
    return None


def _window(body: Object, url: Mapping[str, str]) -> int | None:
    """Give from + size, as the cluster will read them; None if they are not numbers that it would take."""
    total = 0
    for name, default in (("from", 0), ("size", 10)):
        value = url.get(name, body.get(name, default))
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return None
        total += value
    return total


def _neural_texts(node: Json, indices: tuple[BoundIndex, ...]) -> Iterator[tuple[Binding, str]]:
    """The text of each `neural` clause on a bound field, at any depth, in the order in which `rewrite` meets them."""
    if isinstance(node, list):
        for element in node:
            yield from _neural_texts(element, indices)
    elif isinstance(node, dict):
        for key, value in node.items():
            found = _neural_clause(value, indices) if key == "neural" else None
            if found is not None:
                yield found
            yield from _neural_texts(value, indices)


def _neural_clause(spec: Json, indices: tuple[BoundIndex, ...]) -> tuple[Binding, str] | None:
    if not isinstance(spec, dict) or len(spec) != 1:
        return None
    name, options = next(iter(spec.items()))
    bindings = bindings_of_field(indices, name)
    if not bindings or not isinstance(options, dict):
        return None
    if len(bindings) > 1:
        models = ", ".join(binding.model for binding in bindings)
        raise InvalidInput(f"neural.{name}", f"the indices searched hold vectors of several models: {models}")
    if "query_image" in options:
        raise InvalidInput(f"neural.{name}.query_image", f"model [{bindings[0].model}] embeds text only")
    text, model = options.get("query_text"), options.get("model_id")
    if not isinstance(text, str) or not text:
        raise InvalidInput(f"neural.{name}.query_text", "a text is required")
    # Ids of ml-commons mean nothing here; one of ours must be the model of the binding.
    if isinstance(model, str) and MODEL_VERSION_ID.fullmatch(model) and model != bindings[0].model:
        raise InvalidInput(
            f"neural.{name}.model_id", f"[{model}] is not the model of this field, [{bindings[0].model}]"
        )
    return bindings[0], text


def rewrite(
    body: Object, plan: TextSearch | NeuralSearch, vectors: tuple[Vector, ...], indices: tuple[BoundIndex, ...]
) -> Object:
    """The body to send: `vectors` holds one vector for each of the plan's texts. `body` is not changed."""
    if isinstance(plan, NeuralSearch):
        return {**body, "query": _with_knn(body["query"], indices, iter(vectors))}
    options: Object = {"vector": list(vectors[0]), "k": max(plan.search.k, plan.window)}
    if plan.knn_filter is not None:
        options["filter"] = plan.knn_filter
    knn: Json = {"knn": {plan.binding.field: options}}
    rest = {name: value for name, value in body.items() if name != "sort"}  # it was by score
    if plan.mode is Mode.SEMANTIC:
        return {**rest, "query": knn}
    # On 2.19 `hybrid` takes no filter of its own: the lexical leg has the client's, the vector leg its copy.
    hybrid: Json = {"queries": [body["query"], knn], "pagination_depth": plan.window}
    return {**rest, "query": {"hybrid": hybrid}, "search_pipeline": _fusion_pipeline(plan.search)}


def _fusion_pipeline(search: SearchBinding) -> Object:
    """Inline, so that no cluster permission is needed. Without a normaliser `hybrid` answers sentinel documents."""
    fusion = search.fusion
    return {
        "phase_results_processors": [
            {
                "normalization-processor": {
                    "normalization": {"technique": fusion.technique},
                    "combination": {
                        "technique": fusion.combination,
                        "parameters": {"weights": list(fusion.weights)},
                    },
                }
            }
        ]
    }


def _with_knn(node: Json, indices: tuple[BoundIndex, ...], vectors: Iterator[Vector]) -> Json:
    if isinstance(node, list):
        return [_with_knn(element, indices, vectors) for element in node]
    if not isinstance(node, dict):
        return node
    rewritten: Object = {}
    for key, value in node.items():
        if key == "neural" and isinstance(value, dict) and _neural_clause(value, indices) is not None:
            vector = next(vectors)  # before the walk goes on inside, as in _neural_texts
            rewritten["knn"] = {name: _knn_options(_with_knn(o, indices, vectors), vector) for name, o in value.items()}
        else:
            rewritten[key] = _with_knn(value, indices, vectors)
    return rewritten


def _knn_options(options: Json, vector: Vector) -> Object:
    kept = dict(options) if isinstance(options, dict) else {}
    for name in ("query_text", "model_id"):
        kept.pop(name, None)
    if kept.keys().isdisjoint(("k", "min_score", "max_distance")):
        kept["k"] = 10  # the default of `neural`; `knn` has none
    return {"vector": list(vector), **kept}


def hide_fields(
    body: Object | None, url: Mapping[str, str], indices: tuple[BoundIndex, ...]
) -> tuple[Object | None, tuple[str, ...]]:
    """Leave our fields out of the hits: the body to send instead (None: as it is), and what to exclude by URL.

    The URL's `_source…` parameters replace the body's `_source`; so the body is changed only where it has one.
    What a client names itself it gets.
    """
    hidden = hidden_fields(indices)
    if any(name in url for name in ("_source", "_source_includes", "_source_excludes")):
        named = f"{url.get('_source', '')},{url.get('_source_includes', '')}".split(",")
        is_off = url.get("_source") == "false"
        return None, () if is_off else tuple(name for name in hidden if name not in named)
    source = None if body is None else body.get("_source")
    if body is None or source is None or source is True:
        return None, hidden
    if source is False:
        return None, ()
    return {**body, "_source": _source_without(source, hidden)}, ()


def _source_without(source: Json, hidden: tuple[str, ...]) -> Json:
    if isinstance(source, dict):
        options = dict(source)
        includes = clauses(options.get("includes", options.get("include")))
        key = "exclude" if "exclude" in options else "excludes"
    else:
        includes, options, key = clauses(source), {"includes": clauses(source)}, "excludes"
    added = [name for name in hidden if name not in includes]
    return {**options, key: [*clauses(options.get(key)), *added]} if added else source
