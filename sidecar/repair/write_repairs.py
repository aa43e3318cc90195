"""What mends a finding. Pure. Findings and vectors in, lines of a `_bulk` out; its answer in, outcomes out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from sidecar.model import Provenance, State
from sidecar.ports import Embeddings, Space
from sidecar.provenance import well_formed
from sidecar.repair.documents import Finding, Kind, StoredDocument

MAX_BULK_BYTES: Final = 8 * 1024 * 1024

# A script rather than a `doc`, which would be merged into an old provenance and could take nothing out. No pipeline
# runs on a bulk update of 2.x; where one does, the guard finds the hash right.
_SCRIPT: Final = (
    "ctx._source.keySet().removeIf(key -> params.gone.contains(key)"
    " || params.dotted.stream().anyMatch(prefix -> key.startsWith(prefix)));"
    " ctx._source.putAll(params.set)"
)


@dataclass(frozen=True, slots=True)
class Vector:
    """The vector of a text, and what its provenance says of it."""

    values: NDArray[np.float32]
    model: str
    backend: str
    truncated: bool


Embedded: TypeAlias = Mapping[tuple[Space, str], Vector | str]  # by text; a string: why there is no vector


@dataclass(frozen=True, slots=True)
class Mend:
    """One write to one document."""

    findings: tuple[Finding, ...]
    refused: Mapping[str, str]  # field -> why its text has no vector: it is marked as pending
    lines: bytes  # of `_bulk`; empty if the document says already what there is to say

    @property
    def document(self) -> StoredDocument:
        return self.findings[0].document


class Result(Enum):
    """What became of a write."""

    WRITTEN = auto()
    CONFLICT = auto()  # the document has changed since it was read
    GONE = auto()
    NOT_NOW = auto()  # the cluster takes no writes at the moment
    FAILED = auto()


def texts_by_space(found: Iterable[Finding]) -> dict[Space, tuple[str, ...]]:
    """The distinct texts to embed, each well-formed Unicode."""
    texts: dict[Space, dict[str, None]] = {}
    for finding in found:
        if finding.text:
            texts.setdefault(_space(finding), {})[well_formed(finding.text)] = None
    return {space: tuple(distinct) for space, distinct in texts.items()}


def read_vectors(space: Space, texts: Sequence[str], answer: Embeddings) -> dict[tuple[Space, str], Vector | str]:
    """The embedder's answer by text."""
    read: dict[tuple[Space, str], Vector | str] = {}
    for position, (text, item) in enumerate(zip(texts, answer.items, strict=True)):
        values = answer.vector(position)
        read[space, text] = (
            item.error or "the embedder gives no vector"
            if values is None
            else Vector(values, answer.model, answer.backend, item.truncated)
        )
    return read


def mend(found: tuple[Finding, ...], embedded: Embedded) -> Mend:
    """The write that puts the findings of one document right, as far as there are vectors."""
    refused: dict[str, str] = {}
    new: dict[str, object] = {}
    for finding in found:
        binding = finding.binding
        if finding.kind is Kind.NO_TEXT:
            continue
        match embedded[_space(finding), well_formed(finding.text)]:
            case Vector() as vector:
                new[binding.field] = vector.values
                new[binding.meta_field] = Provenance(
                    hash=finding.hash,
                    state=State.OK,
                    model=vector.model,
                    backend=vector.backend,
                    truncated=vector.truncated,
                ).to_source()
            case reason:
                refused[binding.field] = reason
                new[binding.meta_field] = Provenance(hash=finding.hash, state=State.PENDING).to_source()
    # What could be said is said already if every text was refused and stands there as pending.
    says_so = all(finding.binding.field in refused and finding.is_marked for finding in found)
    return Mend(found, refused, b"" if says_so else _lines(found, new))


def bulks(mends: Iterable[Mend]) -> Iterator[tuple[Mend, ...]]:
    """The writes of each `_bulk`: none larger than the cluster likes, unless by a single document."""
    part: list[Mend] = []
    size = 0
    for one in mends:
        if part and size + len(one.lines) > MAX_BULK_BYTES:
            yield tuple(part)
            part, size = [], 0
        part.append(one)
        size += len(one.lines)
    if part:
        yield tuple(part)


def read_result(item: Any) -> tuple[Result, str]:
    """What the cluster says of one write, and why.

    Only the types of an error are told: its reason may quote from the document.
    """
    status, error = item["update"]["status"], item["update"].get("error", {})
    types = [error.get("type", ""), error.get("caused_by", {}).get("type", "")]
    reason = ", ".join(name for name in types if name)
    if "cluster_block_exception" in types or status in (429, 503):
        return Result.NOT_NOW, reason
    if status < 300:
        return Result.WRITTEN, reason
    return {404: Result.GONE, 409: Result.CONFLICT}.get(status, Result.FAILED), reason


def _space(finding: Finding) -> Space:
    return Space(finding.binding.model, finding.binding.space)


def _lines(found: tuple[Finding, ...], new: Mapping[str, object]) -> bytes:
    document = found[0].document
    bindings = [finding.binding for finding in found]
    action = {"_id": document.id, "if_seq_no": document.seq_no, "if_primary_term": document.primary_term}
    if document.routing is not None:
        action["routing"] = document.routing
    params = {
        "gone": [name for binding in bindings for name in (binding.field, binding.meta_field)],
        "dotted": [f"{binding.meta_field}." for binding in bindings],
        "set": new,
    }
    body = {"script": {"lang": "painless", "source": _SCRIPT, "params": params}}
    # Shortest decimals that give the same float32, as the bridge writes them.
    return b"".join(
        orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for line in ({"update": action}, body)
    )
