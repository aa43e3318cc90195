"""Finds the client's own `neural` clauses in a search body, and replaces them by `knn`.

Pure. Clauses are found in every query of a body: `query` at any depth, `post_filter`, `rescore`, the filters of
aggregations. A clause is ours if its field is bound.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from sidecar.bridge.bindings.indices import BoundIndex, bindings_of_field
from sidecar.bridge.searches.wrapper import may_hold_wrapper
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, Object
from sidecar.model import MODEL_VERSION_ID, Binding

Vector: TypeAlias = list[float]

_QUERY: Final = frozenset({"query_text", "query_image"})
_MAX_K: Final = 10_000  # the limit of the k-NN plugin


def neural_texts(node: Json, indices: tuple[BoundIndex, ...]) -> Iterator[tuple[Binding, str]]:
    """The text of each `neural` clause on a bound field, at any depth, in the order in which `with_knn` needs them.

    Raises InvalidInput for a clause that cannot be answered.
    """
    if isinstance(node, list):
        for element in node:
            yield from neural_texts(element, indices)
    elif isinstance(node, dict):
        for key, value in node.items():
            found = _neural_clause(value, indices) if key == "neural" else None
            if found is not None:
                yield found
            yield from neural_texts(value, indices)


def may_hold_neural(text: bytes) -> bool:
    """Whether a body may hold a `neural` clause. It is quick, because hardly any does."""
    return b'"neural"' in text or may_hold_wrapper(text)


def refuse_unbound(body: Json, indices: tuple[BoundIndex, ...]) -> None:
    """Raise InvalidInput for the first `neural` clause on a field that is not bound.

    For an answer of 500: the plugin would have needed a model in the cluster, and its error says nothing of that.
    """
    name = next(_unbound(body, indices), None)
    if name is None:
        return
    fields = sorted({field for index in indices if index.binding for field in index.binding.fields})
    known = f"only [{', '.join(fields)}] is" if fields else "no field of the searched indices is"
    raise InvalidInput(f"neural.{name}", f"is not bound to a model ({known}), and the cluster could not embed the text")


def _unbound(node: Json, indices: tuple[BoundIndex, ...]) -> Iterator[str]:
    """The fields of the `neural` clauses that are not ours."""
    if isinstance(node, list):
        for element in node:
            yield from _unbound(element, indices)
    elif isinstance(node, dict):
        spec = node.get("neural")
        for name, options in spec.items() if isinstance(spec, dict) else ():
            if isinstance(options, dict) and not _QUERY.isdisjoint(options) and not bindings_of_field(indices, name):
                yield name
        for value in node.values():
            yield from _unbound(value, indices)


def _neural_clause(spec: Json, indices: tuple[BoundIndex, ...]) -> tuple[Binding, str] | None:
    if not isinstance(spec, dict) or len(spec) != 1:
        return None
    name, options = next(iter(spec.items()))
    bindings = bindings_of_field(indices, name)
    if not bindings or not isinstance(options, dict):
        return None
    if len(bindings) > 1:
        models = ", ".join(binding.model for binding in bindings)
        raise InvalidInput(f"neural.{name}", f"the searched indices have vectors of several models: {models}")
    if any(name in index.unseen for index in indices):
        raise InvalidInput(f"neural.{name}", "its vectors are computed from fields that these credentials may not read")
    unfit = [index.name for index in indices if name in index.unfit]
    if unfit:
        raise InvalidInput(
            f"neural.{name}",
            f"in [{', '.join(unfit)}] the field is mapped so that it holds no vectors of model [{bindings[0].model}]",
        )
    if "query_image" in options:
        raise InvalidInput(f"neural.{name}.query_image", f"model [{bindings[0].model}] embeds text only")
    text, model = options.get("query_text"), options.get("model_id")
    if not isinstance(text, str) or not text:
        raise InvalidInput(f"neural.{name}.query_text", "a text is required")
    if "k" in options and not _is_k(options["k"]):
        raise InvalidInput(f"neural.{name}.k", f"must be an integer from 1 to {_MAX_K}; got [{options['k']}]")
    # An id of ml-commons has no meaning here. One of ours must be the model of the binding.
    if isinstance(model, str) and MODEL_VERSION_ID.fullmatch(model) and model != bindings[0].model:
        raise InvalidInput(
            f"neural.{name}.model_id", f"[{model}] is not the model of this field, [{bindings[0].model}]"
        )
    return bindings[0], text


def _is_k(value: Json) -> bool:
    """Whether the cluster accepts a value as a number of neighbours. It also reads numbers from strings."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return False
    return number.is_integer() and 1 <= number <= _MAX_K


def with_knn(node: Json, indices: tuple[BoundIndex, ...], vectors: Iterator[Vector]) -> Json:
    if isinstance(node, list):
        return [with_knn(element, indices, vectors) for element in node]
    if not isinstance(node, dict):
        return node
    rewritten: Object = {}
    for key, value in node.items():
        if key == "neural" and isinstance(value, dict) and _neural_clause(value, indices) is not None:
            vector = next(vectors)  # before the clauses inside, as in neural_texts
            rewritten["knn"] = {name: _knn_options(with_knn(o, indices, vectors), vector) for name, o in value.items()}
        else:
            rewritten[key] = with_knn(value, indices, vectors)
    return rewritten


def _knn_options(options: Json, vector: Vector) -> Object:
    kept = dict(options) if isinstance(options, dict) else {}
    for name in ("query_text", "model_id"):
        kept.pop(name, None)
    if kept.keys().isdisjoint(("k", "min_score", "max_distance")):
        kept["k"] = 10  # the default of `neural`. `knn` has no default
    return {"vector": list(vector), **kept}
