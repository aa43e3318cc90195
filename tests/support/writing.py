"""What a bound index holds after any sequence of writes: a model to check the bridge by, with the cluster's own rules."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from sidecar.model import Binding
from sidecar.provenance import source_text

Source: TypeAlias = dict[str, Any]

# Scripts that this model understands. `putAll` replaces whole fields, where a partial update merges objects.
PUT = "ctx._source.putAll(params)"
NOTHING = "ctx.op = 'none'"
DELETE = "ctx.op = 'delete'"


class Worth(StrEnum):
    """What the vector of a document is worth."""

    NONE = "none"  # no text, and no vector
    OK = "ok"
    CLIENT = "client"
    PENDING = "pending"


@dataclass(frozen=True)
class Operation:
    """One write, as a bulk item says it; `body` may hold the client's own vector."""

    action: str
    id: str
    body: Source | None = None


@dataclass(frozen=True)
class Held:
    """A document, without the fields of the bridge, and what its vector is worth."""

    source: Source
    worth: Worth
    own: tuple[float, ...] | None = None  # the client's vector


@dataclass(frozen=True)
class Expected:
    """The answer to one operation."""

    status: int
    result: str | None = None

    @property
    def is_written(self) -> bool:
        return self.status < 300 and self.result != "noop"


class Model:
    """The documents by id."""

    def __init__(self, binding: Binding) -> None:
        self.held: dict[str, Held] = {}
        self.versions: dict[str, int] = {}  # of deleted documents too: the cluster goes on counting
        self._binding = binding

    def play(self, operation: Operation) -> Expected:
        """Do what the operation does, and say how it is answered."""
        old = self.held.get(operation.id)
        new, expected = self._after(operation, old)
        if expected.is_written or operation.action == "delete":  # also to delete what is not there is a change
            self.versions[operation.id] = self.versions.get(operation.id, 0) + 1
        if new is None:
            self.held.pop(operation.id, None)
        else:
            self.held[operation.id] = new
        return expected

    def _after(self, operation: Operation, old: Held | None) -> tuple[Held | None, Expected]:
        body = operation.body or {}
        match operation.action:
            case "delete":
                return None, Expected(200, "deleted") if old else Expected(404, "not_found")
            case "create" if old is not None:
                return old, Expected(409)
            case "index" | "create":
                return self._written(body), Expected(200, "updated") if old else Expected(201, "created")
        if old is None:
            return self._upserted(body)
        if "script" in body:
            return self._scripted(old, body["script"])
        new = self._merged(old, body["doc"])
        is_noop = new == old and body.get("detect_noop", True)
        return new, Expected(200, "noop" if is_noop else "updated")

    def _written(self, document: Source) -> Held:
        source, own = self._apart(document)
        if not self._text(source):
            return Held(source, Worth.NONE)
        return Held(source, Worth.OK if own is None else Worth.CLIENT, own)

    def _upserted(self, body: Source) -> tuple[Held | None, Expected]:
        document = body["doc"] if body.get("doc_as_upsert") else body.get("upsert")
        if document is None:
            return None, Expected(404)
        new = self._written(document)
        if not body.get("scripted_upsert"):
            return new, Expected(201, "created")
        return self._scripted(new, body["script"])[0], Expected(201, "created")

    def _scripted(self, old: Held, script: Source) -> tuple[Held | None, Expected]:
        if script["source"] == NOTHING:
            return old, Expected(200, "noop")
        if script["source"] == DELETE:
            return None, Expected(200, "deleted")
        new = replace(old, source=old.source | script["params"])
        if not self._text(new.source):
            new = Held(new.source, Worth.NONE)
        elif self._text(new.source) != self._text(old.source):
            new = Held(new.source, Worth.PENDING)
        return new, Expected(200, "updated")

    def _merged(self, old: Held, document: Source) -> Held:
        changes, own = self._apart(document)
        source = merged(old.source, changes)
        text = self._text(source)
        if own is not None and own != old.own:
            return Held(source, Worth.CLIENT, own)
        if not text:
            return Held(source, Worth.NONE)
        is_asked = own is not None or any(self._is_way_to_text(key) for key in changes)
        if not is_asked or (text == self._text(old.source) and old.worth is not Worth.PENDING):
            return replace(old, source=source)
        return Held(source, Worth.OK)

    def _is_way_to_text(self, key: str) -> bool:
        return any(key.partition(".")[0] == path.partition(".")[0] for path in self._binding.source)

    def _apart(self, document: Source) -> tuple[Source, tuple[float, ...] | None]:
        own = document.get(self._binding.field)
        source = {name: value for name, value in document.items() if name != self._binding.field}
        return source, None if own is None else tuple(own)

    def _text(self, source: Mapping[str, Any]) -> str:
        return source_text(dict(source), self._binding)


def merged(source: Source, changes: Source) -> Source:
    """A partial update: objects are merged, everything else is replaced."""
    result = dict(source)
    for key, value in changes.items():
        old = source.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
