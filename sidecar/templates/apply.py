"""The shell of templates: it puts them into a cluster, removes them, and lists them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from sidecar.errors import ClusterRefused, Conflict, InvalidInput
from sidecar.jsontext import Json
from sidecar.ports import Cluster
from sidecar.templates import naming
from sidecar.templates.changes import Change, plan, refuse_conflicts
from sidecar.templates.companion import identity
from sidecar.templates.compiler import CompiledTemplate
from sidecar.templates.installed import (
    PIPELINE_SETTINGS,
    Installed,
    Summary,
    aliases_of_indices,
    bound_by,
    indices_of,
    pipelines_of_indices,
    summaries,
    template_of,
)

_NOT_FOUND: Final = 404

# Pipelines go last: an index that is made meanwhile must not name a pipeline that is gone.
_DELETION_ORDER: Final = (
    naming.INDEX_TEMPLATE,
    naming.COMPONENT_TEMPLATE,
    naming.SEARCH_PIPELINE,
    naming.INGEST_PIPELINE,
)


@dataclass(frozen=True, slots=True)
class Applied:
    """The changes that `apply` made. There are none if everything was there already."""

    changes: tuple[Change, ...]
    created_index: str | None


async def read_installed(cluster: Cluster) -> Installed:
    """Every template and pipeline of the cluster. Raises ClusterRefused, ClusterUnreachable."""
    return Installed.parse(
        index_templates=await _get(cluster, "/_index_template"),
        component_templates=await _get(cluster, "/_component_template"),
        ingest_pipelines=await _get(cluster, "/_ingest/pipeline"),
        search_pipelines=await _get(cluster, "/_search/pipeline"),
        plugins=await _get(cluster, "/_nodes/plugins", filter_path="nodes.*.plugins.name,nodes.*.attributes"),
        companions=await _get(
            cluster, f"/{naming.companion_of('*')}", expand_wildcards="all", filter_path="*.mappings._meta"
        ),
    )


async def diff(cluster: Cluster, compiled: CompiledTemplate) -> tuple[Change, ...]:
    """The changes that `apply` would make. Raises Conflict if it would refuse, ClusterRefused, ClusterUnreachable."""
    installed = await read_installed(cluster)
    refuse_conflicts(compiled, installed)
    return plan(compiled, installed)


async def apply(cluster: Cluster, compiled: CompiledTemplate, *, create: bool = False) -> Applied:
    """Install the template. `create` also makes its first index, with the template's name as write alias.

    Documents that are there already are left alone. Raises Conflict if the cluster's contents forbid the template or
    another template would win over it, InvalidInput, ClusterRefused and ClusterUnreachable. A refused template leaves
    nothing behind.
    """
    missing_index = await _missing_first_index(cluster, compiled) if create else None
    changes = await diff(cluster, compiled)
    documents = tuple(change for change in changes if not naming.is_companion(change.path))
    await _put_all(cluster, documents)
    if problem := await _overruled(cluster, compiled):
        raise Conflict(problem + await _take_back(cluster, documents))
    await _put_companion(cluster, changes, documents)
    if missing_index is not None:
        aliases: Json = {compiled.names.template: {"is_write_index": True}}
        path = f"/{missing_index}"
        (await cluster.call("PUT", path, body={"aliases": aliases})).require(f"PUT {path}")
    return Applied(changes, missing_index)


async def delete(cluster: Cluster, template: str) -> tuple[str, ...]:
    """Delete a template and the rest of its earlier bindings. The answer is the paths of the deleted documents.

    Raises InvalidInput if it is not installed, ClusterRefused, ClusterUnreachable. Raises Conflict while an index names
    one of its pipelines, because writes to that index would fail.
    """
    installed = await read_installed(cluster)
    known = sorted({name for body in installed.documents.values() if (name := template_of(body))})
    if template not in known:
        raise InvalidInput("template", f"[{template}] is not installed; installed: {', '.join(known) or 'none'}")
    if indices := indices_of(template, await _pipelines_of_indices(cluster)):
        raise Conflict(f"template [{template}] is in use: a pipeline of it serves [{', '.join(indices)}]")
    paths = [path for kind in _DELETION_ORDER for path in installed.documents if path.startswith(kind)]
    companions = [path for path, body in installed.documents.items() if naming.is_companion(path) and identity(body)]
    owned = tuple(path for path in (*companions, *paths) if naming.owns(template, path))
    for path in owned:
        (await cluster.call("DELETE", path)).require(f"DELETE {path}")
    return owned


async def list_templates(cluster: Cluster) -> tuple[Summary, ...]:
    """Every template of ours in the cluster. Raises ClusterRefused, ClusterUnreachable."""
    return summaries(await read_installed(cluster), await _pipelines_of_indices(cluster))


async def _missing_first_index(cluster: Cluster, compiled: CompiledTemplate) -> str | None:
    """The index that `create` has to make; None if the alias has an index already."""
    alias, index = compiled.names.template, compiled.names.first_index
    if not any(naming.overlap(pattern, index) for pattern in compiled.index_patterns):
        raise InvalidInput("index_patterns", f"none matches the first index, [{index}]")
    there = aliases_of_indices(await _get(cluster, f"/{alias},{index}/_alias", ignore_unavailable="true"))
    if alias in there:
        raise Conflict(f"an index is called [{alias}]; that name is needed for the alias")
    if any(alias in aliases for aliases in there.values()):
        return None
    if index in there:
        raise Conflict(f"index [{index}] exists, but the alias [{alias}] does not")
    return index


async def _put_all(cluster: Cluster, changes: Sequence[Change]) -> None:
    for position, change in enumerate(changes):
        reply = await cluster.call("PUT", change.path, body=change.after)
        if not reply.ok:
            left = await _take_back(cluster, changes[:position])
            raise ClusterRefused(f"PUT {change.path}", reply.status, reply.reason + left)


async def _put_companion(cluster: Cluster, changes: Sequence[Change], documents: Sequence[Change]) -> None:
    for change in changes:
        if not naming.is_companion(change.path):
            continue
        if change.before is not None:  # it holds no documents, and a mapping cannot be replaced in place
            (await cluster.call("DELETE", change.path)).require(f"DELETE {change.path}")
        reply = await cluster.call("PUT", change.path, body=change.after)
        if not reply.ok:
            left = await _take_back(cluster, documents)
            raise ClusterRefused(f"PUT {change.path}", reply.status, reply.reason + left)


async def _take_back(cluster: Cluster, changes: Sequence[Change]) -> str:
    """Restore the documents from before the changes. The answer ends an error: the paths that could not be restored."""
    left = []
    for change in reversed(changes):
        method = "DELETE" if change.before is None else "PUT"
        reply = await cluster.call(method, change.path, body=change.before)
        left += [] if reply.ok else [change.path]
    return f"; could not be taken back: {', '.join(left)}" if left else ""


async def _overruled(cluster: Cluster, compiled: CompiledTemplate) -> str | None:
    """Ask the cluster which template wins for names that our patterns match. A sentence if it is not ours."""
    for index in await _probes(cluster, compiled):
        path = f"/_index_template/_simulate_index/{quote(index, safe='')}"
        simulated = (await cluster.call("POST", path)).require(f"POST {path}")
        if bound_by(simulated) != compiled.binding:
            winner = (await read_installed(cluster)).winner(index)
            return (
                f"index template [{winner}] wins over [{compiled.names.index_template}] for indices such as [{index}]"
            )
    return None


async def _probes(cluster: Cluster, compiled: CompiledTemplate) -> tuple[str, ...]:
    """A name for each index pattern, except the names of aliases, which cannot be simulated."""
    candidates = [*map(naming.example, compiled.index_patterns), compiled.names.first_index]
    path = f"/{','.join(quote(name, safe='') for name in candidates)}/_alias"
    there = aliases_of_indices(await _get(cluster, path, ignore_unavailable="true"))
    free = [name for name in candidates if not any(name in aliases for aliases in there.values())]
    matched = (next((n for n in free if naming.overlap(pattern, n)), None) for pattern in compiled.index_patterns)
    return tuple(dict.fromkeys(name for name in matched if name is not None))


async def _pipelines_of_indices(cluster: Cluster) -> dict[str, frozenset[str]]:
    names = ",".join(PIPELINE_SETTINGS)
    return pipelines_of_indices(
        await _get(cluster, f"/_all/_settings/{names}", flat_settings="true", expand_wildcards="all")
    )


async def _get(cluster: Cluster, path: str, **params: str) -> Json:
    reply = await cluster.call("GET", path, params=params)
    # A list of pipelines is answered with 404 and an empty object if there are none.
    return {} if reply.status == _NOT_FOUND and reply.body == {} else reply.require(f"GET {path}")
