"""The ingest pipelines that guard a binding. Pure."""

from collections.abc import Mapping

from sidecar.jsontext import Json, at
from sidecar.model import Binding, IndexBinding
from sidecar.provenance import hash_prefix


def fitting_guard(bound: IndexBinding, pipelines: Mapping[str, Json]) -> str | None:
    """A pipeline that guards all fields of a binding; None if there is none."""
    return next((name for name in pipelines if calls_guard(name, bound, pipelines)), None)


def calls_guard(name: str, bound: IndexBinding, pipelines: Mapping[str, Json], *, depth: int = 8) -> bool:
    """Whether a pipeline, or one that it calls, guards every field of a binding. Deeper calls are not followed."""
    processors = at(pipelines.get(name), "processors")
    listed = processors if isinstance(processors, list) else []
    if all(any(_guards(processor, binding) for processor in listed) for binding in bound.fields.values()):
        return True
    called = [at(processor, "pipeline", "name") for processor in listed]
    return depth > 0 and any(
        calls_guard(inner, bound, pipelines, depth=depth - 1) for inner in called if isinstance(inner, str)
    )


def _guards(processor: Json, binding: Binding) -> bool:
    params = at(processor, "script", "params")
    expected: dict[str, Json] = {
        "field": binding.field,
        "meta_field": binding.meta_field,
        "source": list(binding.source),
        "join": binding.join,
        "prefix": hash_prefix(binding),
    }
    return isinstance(params, dict) and all(params.get(name) == value for name, value in expected.items())
