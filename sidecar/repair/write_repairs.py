"""What mends a finding. Pure. Findings and vectors in, lines of a `_bulk` out; its answer in, outcomes out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import orjson

from sidecar.embedded_texts import EmbeddedTexts
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


def mend(found: tuple[Finding, ...], embedded: EmbeddedTexts) -> Mend:
    """The write that puts the findings of one document right, as far as there are vectors."""
    refused: dict[str, str] = {}
    new: dict[str, object] = {}
    for finding in found:
        if finding.kind is Kind.NO_TEXT:
            continue
        binding, stored = finding.binding, embedded.find(finding)
        new[binding.meta_field] = stored.provenance.to_source()
        if stored.vector is None:
            refused[binding.field] = embedded.refusal(finding) or "the embedder gives no vector"
        else:
            new[binding.field] = orjson.Fragment(stored.vector)
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
    return b"".join(orjson.dumps(line) + b"\n" for line in ({"update": action}, body))
