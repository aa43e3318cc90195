"""The pages of the demo: its results in, something that rich can render out. Pure."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sidecar.jsontext import Json

_COLUMN: Final = 45  # characters of a hit, so that two of them and their frame fit into 100
_SHOWN_COMPONENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit, as the demo shows it."""

    name: str
    abstract: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The hits of one question, at the cluster and through the bridge."""

    question: str
    lexical: Sequence[Hit]
    bridged: Sequence[Hit]
    mode: str  # the mode of the search, as the bridge reports it


@dataclass(frozen=True, slots=True)
class DirectCall:
    """One call to the embedding server without HTTP."""

    text: str
    model: str
    backend: str
    tokens: int
    vector: Sequence[float]
    took_ms: float
    cosines: Mapping[str, float]  # stored document -> similarity of its vector with that of the text


@dataclass(frozen=True, slots=True)
class Places:
    """The addresses of the parts, and the names of the index and template that the demo made."""

    cluster: str
    bridge: str
    bridge_admin: str
    embedder: str
    embedder_http: str
    index: str
    template: str
    model: str
    source: Sequence[str]
    program: str = "sidecar"  # as the user called it


def heading(title: str) -> RenderableType:
    """The line above a part of the demo."""
    return Group("", Rule(Text(title, style="bold"), align="left", style="dim"))


def addresses(places: Places) -> RenderableType:
    """Every URL, and the part behind it."""
    rows = (
        ("OpenSearch", places.cluster, "unchanged: it runs no model"),
        ("bridge", places.bridge, "the same API, for clients"),
        ("", f"{places.bridge_admin}/metrics", "also /livez and /readyz"),
        ("embedder", places.embedder, f"gRPC, {places.model}"),
        ("", f"{places.embedder_http}/metrics", "also /livez and /readyz"),
    )
    table = Table.grid(padding=(0, 3))
    for name, address, note in rows:
        table.add_row(Text(name, style="bold"), Text(address, style="cyan"), Text(note, style="dim"))
    return table


def indexed(places: Places, passages: int, took_s: float, *, with_vector: int) -> str:
    """The result of indexing. If vectors were late, it names the command that adds them."""
    rate = passages / took_s
    result = (
        f"{passages:,} docstrings of installed packages in {took_s:.1f} s, {rate:.0f} a second; "
        f"{with_vector:,} have a vector of their text."
    )
    pending = passages - with_vector
    if not pending:
        return result
    repair = f"{places.program} repair {places.index} --cluster {places.cluster} --embedder {places.embedder}"
    return f"{result}\n{pending:,} are pending, because their vectors came too late. This adds them:\n{repair}"


def rankings(comparison: Comparison) -> RenderableType:
    """The two rankings side by side. In the right one, "+" marks the hits that the left one lacks."""
    table = Table(
        title=f"“{comparison.question}”", title_justify="left", title_style="bold", box=box.ROUNDED, border_style="dim"
    )
    table.add_column("OpenSearch alone", width=_COLUMN, no_wrap=True)
    table.add_column(f"through the bridge: {comparison.mode}", width=_COLUMN, no_wrap=True)
    known = {hit.name for hit in comparison.lexical}
    count = max(len(comparison.lexical), len(comparison.bridged), 1)
    for rank in range(count):
        left = _cell(comparison.lexical, rank, known)
        right = _cell(comparison.bridged, rank, known)
        table.add_row(left, right)
    return table


def _cell(hits: Sequence[Hit], rank: int, known: set[str]) -> Text:
    if rank >= len(hits):
        return Text("nothing else" if rank else "nothing", style="dim")
    hit = hits[rank]
    is_new = hit.name not in known
    name = Text(f"{'+' if is_new else ' '} {hit.name}", style="bold green" if is_new else "bold")
    name.truncate(_COLUMN, overflow="ellipsis")
    abstract = Text(f"  {hit.abstract}", style="dim")
    abstract.truncate(_COLUMN, overflow="ellipsis")
    return Text("\n").join([name, abstract])


def stored_document(source: Mapping[str, Json], field: str) -> RenderableType:
    """A document as the cluster stores it: its text, the first components of its vector, its provenance."""
    vector, provenance = source.get(field), source.get(f"{field}_meta")
    table = Table.grid(padding=(0, 3))
    for name in ("title", "abstract", "content"):
        table.add_row(Text(name, style="bold"), Text(_shortened(str(source.get(name, "")))))
    if isinstance(vector, list):
        table.add_row(Text(field, style="bold"), Text(f"[{_components(vector)}, … {len(vector)} components]"))
    for name, value in _leaves(provenance, f"{field}_meta"):
        table.add_row(Text(name, style="bold"), Text(json.dumps(value).strip('"')))
    return table


def direct_call(call: DirectCall) -> RenderableType:
    """The answer of the embedding server."""
    table = Table.grid(padding=(0, 3))
    rows = {
        "text": call.text,
        "model": f"{call.model}, computed by {call.backend}",
        "answer": f"{call.tokens} tokens, {len(call.vector)} components, {call.took_ms:.1f} ms",
        "vector": f"[{_components(call.vector)}, …]",
        "cosine to": "\n".join(f"{name} {cosine:.2f}" for name, cosine in call.cosines.items()),
    }
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def commands(places: Places, question: str, fields: Sequence[str]) -> Sequence[tuple[str, str]]:
    """The steps by hand: for each a comment, and a command to paste into a shell."""
    search: Json = {"size": 3, "query": {"multi_match": {"query": question, "fields": list(fields)}}}
    searched = f"/{places.index}/_search?filter_path=hits.hits._id"
    own: dict[str, Json] = {"title": "a note of mine", "abstract": "How to throw out what occurs twice in a list."}
    other: dict[str, Json] = {**own, "abstract": "Something else."}
    written = f"/{places.index}/_doc/mine?refresh=true"
    provenance = f"/{places.index}/_doc/mine?_source_includes=embedding_meta"
    pattern, source = shlex.quote(f"{places.index}*"), ",".join(places.source)
    template = f"{places.program} template diff {places.template} --model {places.model} --index-pattern {pattern}"
    return (
        ("the template: diff shows what apply would change (now: nothing)",
         f"{template} --source {source} --cluster {places.cluster}"),
        ("a question, to the cluster itself", _curl("POST", places.cluster + searched, search)),
        ("the same question, through the bridge", _curl("POST", places.bridge + searched, search)),
        ("a document of your own, through the bridge", _curl("PUT", places.bridge + written, own)),
        ("the provenance of its vector", _curl("GET", places.cluster + provenance)),
        ("another text, written around the bridge", _curl("PUT", places.cluster + written, other)),
        ("its provenance says that it waits for a vector", _curl("GET", places.cluster + provenance)),
        ("how the index is bound", _curl("GET", f"{places.bridge}/_plugins/_sidecar/bindings/{places.index}?pretty")),
        ("vectors, over gRPC", f"{places.program} embed {shlex.quote(question)} --embedder {places.embedder}"),
    )  # fmt: skip


def _curl(method: str, url: str, body: Json = None) -> str:
    command = ["curl", "-sS", *(["-X", method] if method == "PUT" else []), url]
    if body is not None:
        command += ["-H", "content-type: application/json", "-d", json.dumps(body)]
    return shlex.join(command)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 2 * _COLUMN - 20 else f"{line[: 2 * _COLUMN - 20]}…"


def _leaves(node: Json, path: str) -> Iterator[tuple[str, Json]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{path}.{name}")
    elif node is not None:
        yield path, node


def _components(vector: Sequence[Json]) -> str:
    return ", ".join(f"{component:.4f}" for component in vector[:_SHOWN_COMPONENTS] if isinstance(component, float))
