"""The changes that a compiled template makes in a cluster, and the conflicts that forbid it. Pure."""

import difflib
import json
from dataclasses import dataclass

from sidecar.errors import Conflict
from sidecar.index_description import read_index
from sidecar.jsontext import Json, at
from sidecar.templates import naming
from sidecar.templates.base import flatten_settings
from sidecar.templates.companion import identity
from sidecar.templates.compiler import CompiledTemplate
from sidecar.templates.installed import Installed, template_of


@dataclass(frozen=True, slots=True)
class Change:
    """One document to put."""

    path: str
    before: Json  # None: not installed
    after: Json

    def diff(self) -> str:
        """The change as a unified diff of JSON texts, spelled alike on both sides."""
        return "\n".join(
            difflib.unified_diff(
                _lines(self.path, self.before),
                _lines(self.path, self.after),
                self.path if self.before is not None else "(not installed)",
                self.path,
                lineterm="",
            )
        )


def plan(compiled: CompiledTemplate, installed: Installed) -> tuple[Change, ...]:
    """The documents to put so that the cluster has the compiled template, in a safe order.

    A cluster that cannot fuse gets no search pipeline and no companion, because the bridge fuses there.
    """
    return tuple(
        Change(path, installed.documents.get(path), document)
        for path, document in compiled.documents.items()
        if installed.fuses or not (path.startswith(naming.SEARCH_PIPELINE) or naming.is_companion(path))
        if comparable(path, installed.documents.get(path)) != comparable(path, document)
    )


def refuse_conflicts(compiled: CompiledTemplate, installed: Installed) -> None:
    """Raise Conflict if what is installed contradicts the compiled template."""
    path = naming.INDEX_TEMPLATE + compiled.names.index_template
    if path in installed.documents and template_of(installed.documents[path]) is None:
        raise Conflict(f"index template [{compiled.names.index_template}] exists and is not one of ours")
    companion = f"/{compiled.names.companion}"
    if companion in installed.documents and identity(installed.documents[companion]) is None:
        raise Conflict(f"index [{compiled.names.companion}] exists and is not a companion")
    _refuse_changed_model(compiled, installed)
    if installed.lacks_native_knn and (fields := _native_fields(compiled)):
        raise Conflict(
            "this cluster is a local node without the native k-NN library, and the first vectors of "
            f"[{', '.join(fields)}] would end it: of the engines, it has only lucene"
        )
    for name, patterns, priority in installed.index_templates():
        if name == compiled.names.index_template or priority != compiled.priority:
            continue
        for ours in compiled.index_patterns:
            if theirs := next((theirs for theirs in patterns if naming.overlap(ours, theirs)), None):
                raise Conflict(
                    f"index template [{name}] has the same priority [{priority}] and its pattern [{theirs}] meets "
                    f"[{ours}]; choose another priority"
                )
    called = compiled.final_pipeline
    if called is not None and naming.INGEST_PIPELINE + called not in installed.documents:
        raise Conflict(f"the base names the final pipeline [{called}], which is not in the cluster")


def _native_fields(compiled: CompiledTemplate) -> tuple[str, ...]:
    names = (compiled.names.base, compiled.names.vector)
    mappings = (at(compiled.documents[naming.COMPONENT_TEMPLATE + name], "template", "mappings") for name in names)
    settings: Json = {"index": {"knn": "true"}}
    described = (read_index("", {"mappings": mapping, "settings": settings}) for mapping in mappings)
    return tuple(field for index in described for field in index.native_fields)


def _refuse_changed_model(compiled: CompiledTemplate, installed: Installed) -> None:
    ours = {binding.model: binding.space for binding in compiled.binding.fields.values()}
    for path in installed.documents:
        component = path.removeprefix(naming.COMPONENT_TEMPLATE)
        theirs = installed.binding(component) if component != path else None
        for binding in theirs.fields.values() if theirs else ():
            if ours.get(binding.model, binding.space) != binding.space:
                raise Conflict(
                    f"model [{binding.model}] has space [{ours[binding.model]}], but component template [{component}] "
                    f"binds that model under space [{binding.space}]: changed weights or settings need a new version"
                )


def comparable(path: str, document: Json) -> Json:
    """A document in one spelling, whoever wrote it.

    OpenSearch nests the settings of a component template and writes their values as strings. Of a companion, only the
    identity is compared.
    """
    if naming.is_companion(path):
        return identity(document)
    template = at(document, "template")
    if not path.startswith(naming.COMPONENT_TEMPLATE) or not (
        isinstance(document, dict) and isinstance(template, dict)
    ):
        return document
    settings = template.get("settings")
    flat = flatten_settings(settings) if isinstance(settings, dict) else {}
    spelled: Json = {key: _as_setting(value) for key, value in flat.items()}
    return {**document, "template": {**template, "settings": spelled}}


def _as_setting(value: Json) -> Json:
    if isinstance(value, list):
        return [_as_setting(element) for element in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None else str(value)


def _lines(path: str, document: Json) -> list[str]:
    if document is None:
        return []
    return json.dumps(comparable(path, document), indent=2, sort_keys=True).splitlines()
