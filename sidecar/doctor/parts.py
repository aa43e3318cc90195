"""The examination of the parts of a system: cluster, embedding server, bridge, templates. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.doctor.findings import Finding, Subject, error, note, warning
from sidecar.jsontext import Json, at, clauses
from sidecar.model import Binding, ModelVersion
from sidecar.ports import ServedModel

KNN_PLUGIN: Final = "opensearch-knn"
FUSION_PLUGIN: Final = "opensearch-neural-search"

# The limit of levels in JSON. From 3.0 on it is 1,000 by default, before that there is none.
_DEPTH_OPTION: Final = "-Dopensearch.xcontent.depth.max="

_TRIED: Final = (2, 19)  # the oldest version that is tested


def unreachable(kind: str, name: str, why: str, remedy: str) -> Subject:
    """The subject for a part of the system that does not answer."""
    return Subject(kind, name, findings=(error("unreachable", why, remedy),), answers=False)


def examine_cluster(url: str, info: Json, nodes: Json, machines: Json = None) -> Subject:
    """Examine the cluster, by its answers to `GET /`, `GET /_nodes/plugins` and `GET /_nodes/jvm`. None: not known."""
    number = str(at(info, "version", "number"))
    listed = at(nodes, "nodes")
    plugins = [_plugins(node) for node in listed.values()] if isinstance(listed, dict) else []
    about = f"OpenSearch {number}, {len(plugins)} node{'' if len(plugins) == 1 else 's'}"
    return Subject("cluster", url, about, (*_cluster(info, number, plugins), *_depth(number, machines)))


def _cluster(info: Json, number: str, plugins: Sequence[frozenset[str]]) -> Iterator[Finding]:
    if at(info, "version", "distribution") != "opensearch":
        yield error(
            "distribution",
            "this is not OpenSearch: templates and rewritten searches are made for it alone",
            "put an OpenSearch cluster behind the bridge",
        )
    elif tuple(int(part) for part in number.split(".")[:2] if part.isdigit()) < _TRIED:
        yield warning(
            "version", f"version {number} is older than 2.19, the oldest that is tested", "upgrade the cluster"
        )
    without_knn = sum(KNN_PLUGIN not in plugin for plugin in plugins)
    if without_knn:
        yield error(
            "knn_plugin",
            f"{without_knn} of {len(plugins)} nodes have no k-NN plugin: vector fields cannot be used",
            f"opensearch-plugin install {KNN_PLUGIN}, on every node",
        )
    if any(FUSION_PLUGIN not in plugin for plugin in plugins):
        yield warning(
            "neural_search_plugin",
            "not every node has neural-search: the bridge fuses hybrid searches itself, which is slower",
            f"opensearch-plugin install {FUSION_PLUGIN}, on every node",
        )


def _depth(number: str, machines: Json) -> Iterator[Finding]:
    listed = at(machines, "nodes")
    if not isinstance(listed, dict) or not number.startswith(("1.", "2.")):
        return
    options = [clauses(at(node, "jvm", "input_arguments")) for node in listed.values()]
    without = sum(not any(str(option).startswith(_DEPTH_OPTION) for option in given) for given in options)
    if without:
        yield note(
            "json_depth",
            f"{without} of {len(options)} nodes read JSON of any depth: who writes to a bound index directly can end a "
            "node with a document of 20 KB (docs/security.md). The bridge refuses more than 1,000 levels",
            f"{_DEPTH_OPTION}1000 in config/jvm.options of every node, and restart it",
        )


def _plugins(node: Json) -> frozenset[str]:
    listed = at(node, "plugins")
    return frozenset(str(at(plugin, "name")) for plugin in listed) if isinstance(listed, list) else frozenset()


def examine_embedder(address: str, served: Sequence[ServedModel], *, is_healthy: bool) -> Subject:
    """Examine the embedding server, which has answered."""
    models = "; ".join(
        f"{one.version.id} ({one.backend}, {one.version.dimension} dimensions, {short(one.version.space)})"
        for one in served
    )
    findings = (
        ()
        if is_healthy
        else (
            error(
                "health",
                "no replica says that it serves: writes are stored as pending, searches are lexical",
                "look at the log of the embedding server",
            ),
        )
    )
    return Subject("embedder", address, models or "no model", findings)


def examine_bridge(url: str, state: Json, uuid: Json, cluster_uuid: Json) -> Subject:
    """Examine the bridge, by its answer to `GET /_plugins/_sidecar` and by its cluster, which should be ours."""
    findings = []
    if at(state, "embedder", "state") != "ready":
        findings.append(
            error(
                "embedder",
                f"it gets no vectors ({at(state, 'embedder', 'reason')}): writes are stored as pending, "
                "searches are lexical",
                "start the embedding server, and check bridge.embedder",
            )
        )
    if uuid != cluster_uuid:
        findings.append(
            error(
                "cluster",
                "its cluster is another one than the one that was examined",
                "give --cluster the URL of its bridge.upstream",
            )
        )
    return Subject("bridge", url, f"version {at(state, 'version')}", tuple(findings))


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """The facts about an installed template."""

    name: str
    about: str
    binding: Binding | None = None
    drift: tuple[str, ...] = ()  # paths of the documents that `template apply` would change
    overruled_by: str | None = None  # an index template with a higher priority
    problem: str | None = None  # why it cannot be read


def examine_template(template: TemplateFacts, served: Mapping[str, ModelVersion] | None) -> Subject:
    """Examine a template. `served` has the served model versions by id; None: not known."""
    return Subject("template", template.name, template.about, tuple(_template(template, served)))


def _template(template: TemplateFacts, served: Mapping[str, ModelVersion] | None) -> Iterator[Finding]:
    anew = f"sidecar template apply {template.name} …, with the options that it was applied with"
    if template.problem is not None:
        yield error("invalid", f"it cannot be read: {template.problem}", anew)
    if template.binding is not None:
        yield from examine_model(template.binding.model, template.binding.space, served)
    if template.drift:
        yield warning("drift", f"not as `template apply` would install it: {', '.join(template.drift)}", anew)
    if template.overruled_by is not None:
        yield error(
            "overruled",
            f"index template [{template.overruled_by}] wins over it: new indices are not bound",
            f"sidecar template apply {template.name} … with a higher --priority",
        )


def examine_model(model: str, space: str, served: Mapping[str, ModelVersion] | None) -> Iterator[Finding]:
    """Compare a bound model version and its space with those that are served."""
    if served is None:
        return
    if model not in served:
        yield error(
            "model",
            f"model [{model}] is not served: writes are stored as pending, searches are lexical (space)",
            f"sidecar embedder --model {model}",
        )
    elif served[model].space != space:
        yield error(
            "space",
            f"model [{model}] is served in space {short(served[model].space)}, but bound in {short(space)}: "
            "vectors of two spaces are never compared, so searches are lexical (space)",
            f"serve the files that [{model}] was pinned with, or bind new indices to another version",
        )


def short(space: str) -> str:
    """A space fingerprint, shortened to be readable."""
    return space[: len("sha256:") + 12] + "…"
