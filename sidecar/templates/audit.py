"""The audit of an installed template: is it as `apply` would install it? Pure.

It is compiled again from its own documents, and compared.
"""

from dataclasses import dataclass

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, at
from sidecar.model import Binding, Engine, IndexBinding, ModelVersion
from sidecar.templates import naming
from sidecar.templates.base import FINAL_PIPELINE, flatten_settings
from sidecar.templates.changes import plan
from sidecar.templates.compiler import CompiledTemplate, compile_template
from sidecar.templates.installed import Installed, Summary, template_of


@dataclass(frozen=True, slots=True)
class Parts:
    """The component templates that an installed template is composed of, and its binding."""

    base: Json
    vector: Json
    binding: Binding


def parts_of(summary: Summary, installed: Installed) -> Parts:
    """Take an installed template apart. Raises InvalidInput if it is not composed as ours are."""
    owned = [path for path in installed.documents if naming.owns(summary.template, path)]
    document = next((installed.documents[path] for path in owned if path.startswith(naming.INDEX_TEMPLATE)), None)
    composed = at(document, "composed_of")
    if not isinstance(composed, list) or len(composed) != 2:
        raise InvalidInput("composed_of", f"must name two component templates; got [{composed}]")
    base, vector = (at(installed.documents.get(f"{naming.COMPONENT_TEMPLATE}{name}"), "template") for name in composed)
    bound = IndexBinding.from_meta(at(vector, "mappings", "_meta"))
    if bound is None or len(bound.fields) != 1:
        raise InvalidInput("composed_of", "must end with a component template that binds one field")
    return Parts(base, vector, next(iter(bound.fields.values())))


def drift(summary: Summary, installed: Installed, version: ModelVersion) -> tuple[str, ...]:
    """The paths of the documents that `apply` would change. Raises InvalidInput if they cannot be compiled again."""
    compiled = _compile_again(summary, installed, version)
    return tuple(
        change.path
        for change in plan(compiled, installed)
        # A companion's digest is of the base as its author spelled it, which the cluster does not keep.
        if not naming.is_companion(change.path) or companion_binding(change.before) != compiled.binding
    )


def overruled_by(summary: Summary, installed: Installed) -> str | None:
    """The index template that wins for a new index of the template's patterns; None if that is the template itself."""
    winners = (installed.winner(naming.example(pattern)) for pattern in summary.index_patterns)
    return next(
        (name for name in winners if name and not naming.owns(summary.template, naming.INDEX_TEMPLATE + name)), None
    )


def template_for(index: str, installed: Installed) -> str | None:
    """Our template that a new index of this name would be made from; None if another or no template matches."""
    winner = installed.winner(index)
    return None if winner is None else template_of(installed.documents[naming.INDEX_TEMPLATE + winner])


def companion_binding(companion: Json) -> IndexBinding | None:
    """The binding of a companion; None if it cannot be read."""
    try:
        return IndexBinding.from_meta(at(companion, "mappings", "_meta"))
    except InvalidInput:
        return None


def _compile_again(summary: Summary, installed: Installed, version: ModelVersion) -> CompiledTemplate:
    parts = parts_of(summary, installed)
    binding = parts.binding
    engine = at(parts.vector, "mappings", "properties", binding.field, "method", "engine")
    if engine not in tuple(Engine):
        raise InvalidInput(f"{binding.field}.method.engine", f"must be one of {', '.join(Engine)}; got [{engine}]")
    return compile_template(
        summary.template,
        version,
        {"mappings": at(parts.base, "mappings") or {}, "settings": _settings(parts, installed)},
        index_patterns=summary.index_patterns,
        source=binding.source,
        field=binding.field,
        space_type=binding.space_type,
        engine=Engine(str(engine)),
        join=binding.join,
        priority=summary.priority,
    )


def _settings(parts: Parts, installed: Installed) -> dict[str, Json]:
    """The settings of the base. Its own final pipeline, if any, is the one that the guard calls first."""
    given, ours = at(parts.base, "settings"), at(parts.vector, "settings")
    settings = flatten_settings(given) if isinstance(given, dict) else {}
    guard = flatten_settings(ours).get(FINAL_PIPELINE) if isinstance(ours, dict) else None
    processors = at(installed.documents.get(f"{naming.INGEST_PIPELINE}{guard}"), "processors")
    called = at(processors[0], "pipeline", "name") if isinstance(processors, list) and processors else None
    return settings if called is None else {**settings, FINAL_PIPELINE: called}
