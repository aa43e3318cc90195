"""The writes that repair faults, as lines of a `_bulk`, and the cluster's answers to them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import orjson

from sidecar.embedded_texts import EmbeddedTexts
from sidecar.repair.documents import FieldFault, Kind, StoredDocument

MAX_BULK_BYTES: Final = 8 * 1024 * 1024

# A script, because a `doc` would be merged into an old provenance and could remove nothing. On a bulk update of 2.x no
# pipeline runs. Where one does, the guard finds the right hash.
_SCRIPT: Final = (
    "ctx._source.keySet().removeIf(key -> params.gone.contains(key)"
    " || params.dotted.stream().anyMatch(prefix -> key.startsWith(prefix)));"
    " ctx._source.putAll(params.set)"
)


@dataclass(frozen=True, slots=True)
class Write:
    """One write to one document."""

    faults: tuple[FieldFault, ...]
    refused: Mapping[str, str]  # field -> why its text has no vector. The field is marked as pending.
    lines: bytes  # of `_bulk`; empty if the document is marked already

    @property
    def document(self) -> StoredDocument:
        return self.faults[0].document


class WriteResult(Enum):
    """The cluster's answer to a write."""

    WRITTEN = auto()
    CONFLICT = auto()  # the document has changed since it was read
    GONE = auto()
    NOT_NOW = auto()  # the cluster takes no writes at the moment
    FAILED = auto()


def plan_write(found: tuple[FieldFault, ...], embedded: EmbeddedTexts) -> Write:
    """The write that repairs the faults of one document, as far as there are vectors."""
    refused: dict[str, str] = {}
    new: dict[str, object] = {}
    for fault in found:
        if fault.kind is Kind.NO_TEXT:
            continue
        binding, stored = fault.binding, embedded.find(fault)
        new[binding.meta_field] = stored.provenance.to_source()
        if stored.vector is None:
            refused[binding.field] = embedded.refusal(fault) or "the embedder gives no vector"
        else:
            new[binding.field] = orjson.Fragment(stored.vector)
    # There is nothing to write if every text was refused and is marked as pending already.
    is_marked = all(fault.binding.field in refused and fault.is_marked for fault in found)
    return Write(found, refused, b"" if is_marked else _lines(found, new))


def bulks(writes: Iterable[Write]) -> Iterator[tuple[Write, ...]]:
    """The writes of each `_bulk`. None is larger than the cluster likes, unless a single document is."""
    part: list[Write] = []
    size = 0
    for one in writes:
        if part and size + len(one.lines) > MAX_BULK_BYTES:
            yield tuple(part)
            part, size = [], 0
        part.append(one)
        size += len(one.lines)
    if part:
        yield tuple(part)


def read_result(item: Any) -> tuple[WriteResult, str]:
    """The result of one write, and its reason.

    The reason names only the types of an error, because the cluster's own words may quote the document.
    """
    status, error = item["update"]["status"], item["update"].get("error", {})
    types = [error.get("type", ""), error.get("caused_by", {}).get("type", "")]
    reason = ", ".join(name for name in types if name)
    if "cluster_block_exception" in types or status in (429, 503):
        return WriteResult.NOT_NOW, reason
    if status < 300:
        return WriteResult.WRITTEN, reason
    return {404: WriteResult.GONE, 409: WriteResult.CONFLICT}.get(status, WriteResult.FAILED), reason


def _lines(found: tuple[FieldFault, ...], new: Mapping[str, object]) -> bytes:
    document = found[0].document
    bindings = [fault.binding for fault in found]
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
