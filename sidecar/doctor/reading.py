"""The questions of `sidecar doctor` to the cluster, the embedding server and the bridge. It writes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias
from urllib.parse import quote

from sidecar.bridge.searches.rewrite.pipelines import fusing_pipeline
from sidecar.doctor.findings import Subject
from sidecar.doctor.indices import IndexFacts, Surroundings, examine_index, examine_unbound
from sidecar.doctor.parts import (
    TemplateFacts,
    examine_bridge,
    examine_cluster,
    examine_embedder,
    examine_template,
    unreachable,
)
from sidecar.errors import InvalidInput, SidecarError
from sidecar.index_description import read_index, read_indices
from sidecar.jsontext import Json, at
from sidecar.model import Binding, Fusion, ModelVersion
from sidecar.ports import Cluster
from sidecar.rpc.client import EmbedderClient
from sidecar.templates import naming
from sidecar.templates.apply import list_templates, read_installed
from sidecar.templates.audit import companion_binding, drift, overruled_by, parts_of, template_for
from sidecar.templates.companion import identity
from sidecar.templates.installed import Installed, Summary

ExaminationProgress: TypeAlias = Callable[[int, int], None]  # examined indices, all indices
KnownVersions: TypeAlias = Mapping[tuple[str, str], ModelVersion]  # by id and space

_CHECKED_OPEN: Final = {"expand_wildcards": "open,hidden"}
_MAPPED: Final = "*.mappings.properties,*.settings.index.knn"
_LISTED: Final = "*.mappings._meta,*.settings.index.uuid"  # the latter of every index, bound or not


@dataclass(frozen=True, slots=True)
class EmbedderSeen:
    """The embedding server, and the model versions that it serves by id; None: not known."""

    subject: Subject
    served: Mapping[str, ModelVersion] | None = None


async def see_embedder(address: str, client: EmbedderClient) -> EmbedderSeen:
    """Ask the embedding server for its health and models."""
    try:
        served = await client.models()
        subject = examine_embedder(address, served, is_healthy=await client.healthy())
    except SidecarError as error:
        return EmbedderSeen(unreachable("embedder", address, str(error), "sidecar embedder, or set bridge.embedder"))
    return EmbedderSeen(subject, {one.version.id: one.version for one in served})


async def see_cluster(url: str, cluster: Cluster) -> Subject:
    """Ask the cluster for its version, plugins and options of Java. Raises ClusterRefused."""
    try:
        info = await _ask(cluster, "GET", "/")
    except SidecarError as error:
        return unreachable("cluster", url, str(error), "check cluster.url, and that the cluster runs")
    nodes = await _ask(cluster, "GET", "/_nodes/plugins")
    machines = await cluster.call("GET", "/_nodes/jvm", params={"filter_path": "nodes.*.jvm.input_arguments"})
    return examine_cluster(url, info, nodes, machines.body if machines.ok else None)


async def see_bridge(url: str, bridge: Cluster, cluster: Cluster) -> Subject:
    """Ask a bridge for its state, and for the cluster behind it."""
    try:
        state = await _ask(bridge, "GET", "/_plugins/_sidecar")
        uuid = at(await _ask(bridge, "GET", "/"), "cluster_uuid")
    except SidecarError as error:
        return unreachable("bridge", url, str(error), "sidecar bridge, or give --bridge its URL")
    return examine_bridge(url, state, uuid, at(await _ask(cluster, "GET", "/"), "cluster_uuid"))


async def see_indices(
    cluster: Cluster,
    names: Sequence[str],
    served: Mapping[str, ModelVersion] | None,
    known: KnownVersions,
    progress: ExaminationProgress,
) -> tuple[Subject, ...]:
    """Examine the bound indices behind some names, or all without names, and the templates that made them.

    An index that is not bound gets a finding if a template would bind it, were it made now, or if its vectors would end
    a node. `known` are the model versions that templates can be compiled for. Raises InvalidInput for names without any
    such index, ClusterRefused, ClusterUnreachable.
    """
    installed = await read_installed(cluster)
    path = "/" + quote(",".join(names) or "_all", safe=",*")
    listed = await _ask(cluster, "GET", path, {**_CHECKED_OPEN, "filter_path": _LISTED})
    described = listed.items() if isinstance(listed, dict) else ()
    bound = [name for name, one in described if at(one, "mappings", "_meta", "sidecar") and not identity(one)]
    unbound = {
        name: template
        for name, one in described
        if at(one, "mappings", "_meta", "sidecar") is None and (template := template_for(name, installed))
    }
    fatal = await _fatal_fields(cluster, path) if installed.lacks_native_knn else {}
    others = sorted((unbound.keys() | fatal.keys()) - set(bound))
    if names and not bound and not others:
        raise InvalidInput("INDEX", f"[{','.join(names)}] names no index that is bound")
    around = _surroundings(installed, served)
    templates = [
        examine_template(_template(summary, installed, known), served)
        for summary in await list_templates(cluster)
        if not names or summary.template in unbound.values() or not set(bound).isdisjoint(summary.indices)
    ]
    indices = [examine_unbound(name, unbound.get(name), fatal.get(name, ())) for name in others]
    for number, name in enumerate(sorted(bound)):
        progress(number, len(bound))
        facts = await _index(cluster, name)
        indices += [] if facts is None else [examine_index(facts, around, fatal.get(name, ()))]
    return (*templates, *indices)


async def _fatal_fields(cluster: Cluster, path: str) -> dict[str, tuple[str, ...]]:
    """By index, the vector fields whose first vectors would end a node that lacks their library."""
    described = read_indices(await _ask(cluster, "GET", path, {**_CHECKED_OPEN, "filter_path": _MAPPED}))
    return {index.name: index.native_fields for index in described if index.native_fields}


def _surroundings(installed: Installed, served: Mapping[str, ModelVersion] | None) -> Surroundings:
    def of(kind: str) -> dict[str, Json]:
        found = installed.documents.items()
        return {path.removeprefix(kind): body for path, body in found if path.startswith(kind)}

    return Surroundings(
        served,
        of(naming.INGEST_PIPELINE),
        {
            name: not isinstance(body, dict) or fusing_pipeline(Fusion(), body) is None
            for name, body in of(naming.SEARCH_PIPELINE).items()
        },
        {
            path.removeprefix("/"): companion_binding(body)
            for path, body in installed.documents.items()
            if naming.is_companion(path) and identity(body)
        },
    )


def _template(summary: Summary, installed: Installed, known: KnownVersions) -> TemplateFacts:
    about = f"{summary.field} of {', '.join(summary.source)}, {summary.model}; {', '.join(summary.index_patterns)}"
    facts = TemplateFacts(summary.template, about, overruled_by=overruled_by(summary, installed))
    try:
        binding = parts_of(summary, installed).binding
        version = known.get((binding.model, binding.space))
        changed = () if version is None else drift(summary, installed, version)
    except InvalidInput as error:
        return replace(facts, problem=str(error))
    return replace(facts, binding=binding, drift=changed)


async def _index(cluster: Cluster, name: str) -> IndexFacts | None:
    """The facts about an index; None if it is gone meanwhile."""
    path = f"/{quote(name, safe='')}"
    reply = await cluster.call("GET", path)
    if not reply.ok:
        return None
    facts = IndexFacts(read_index(name, at(reply.body, name)))
    bound = facts.described.binding
    if bound is None:
        return facts
    counting: Json = {
        "size": 0,
        "track_total_hits": True,
        "aggs": {name: {"filters": {"filters": _unready(one)}} for name, one in bound.fields.items()},
    }
    # Without the index's own search pipeline, which may be faulty.
    reply = await cluster.call("POST", f"{path}/_search", params={"search_pipeline": "_none"}, body=counting)
    if not reply.ok:
        return facts
    total = at(reply.body, "hits", "total", "value")
    counts = {name: at(reply.body, "aggregations", name, "buckets") for name in bound.fields}
    return replace(
        facts,
        documents=total if isinstance(total, int) else None,
        pending={name: _count(found, "pending") for name, found in counts.items()},
        unmarked={name: _count(found, "unmarked") for name, found in counts.items()},
    )


def _unready(binding: Binding) -> dict[str, Json]:
    has_text: list[Json] = [{"exists": {"field": path}} for path in binding.source]
    has_provenance: list[Json] = [
        {"exists": {"field": path}} for path in (f"{binding.meta_field}.hash", binding.pending_field)
    ]
    return {
        "pending": {"exists": {"field": binding.pending_field}},
        "unmarked": {"bool": {"should": has_text, "minimum_should_match": 1, "must_not": has_provenance}},
    }


def _count(buckets: Json, name: str) -> int:
    found = at(buckets, name, "doc_count")
    return found if isinstance(found, int) else 0


async def _ask(cluster: Cluster, method: str, path: str, params: Mapping[str, str] | None = None) -> Json:
    body: Json = (await cluster.call(method, path, params=params)).require(f"{method} {path}")
    return body
