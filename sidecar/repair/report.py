"""The faults that a repair has found, counted by kind and outcome. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sidecar.jsontext import Json
from sidecar.repair.documents import FieldFault, Kind

_MAX_LISTED: Final = 1_000  # failures of one index that are named. The rest is only counted.


class Outcome(StrEnum):
    """The end that a fault has come to."""

    REPAIRED = "repaired"
    GONE = "gone"  # deleted, or repaired by somebody else meanwhile
    BUSY = "busy"  # the document changes as fast as we read it, and is left to its writer
    FAILED = "failed"
    LEFT = "left"  # only looked at


@dataclass(frozen=True, slots=True)
class Failure:
    """A field of a document that could not be repaired. Its text is never shown."""

    index: str
    id: str
    field: str
    reason: str


@dataclass(slots=True)
class IndexReport:
    """The faults of one index."""

    index: str
    documents: int = 0
    counts: Counter[tuple[Kind, Outcome]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    problem: str | None = None  # why the index was not read to its end

    def add(self, fault: FieldFault, outcome: Outcome, reason: str = "") -> None:
        """Count one fault."""
        self.counts[fault.kind, outcome] += 1
        if outcome is Outcome.FAILED and len(self.failures) < _MAX_LISTED:
            self.failures.append(Failure(self.index, fault.document.id, fault.binding.field, reason))

    def take_over(self, earlier: "IndexReport") -> None:
        """Add the faults that an earlier pass has repaired. This pass has seen the others again."""
        for (kind, outcome), number in earlier.counts.items():
            if outcome in (Outcome.REPAIRED, Outcome.GONE):
                self.counts[kind, outcome] += number

    def found(self, kind: Kind) -> int:
        return sum(number for (one, _), number in self.counts.items() if one is kind)

    def number(self, outcome: Outcome) -> int:
        return sum(number for (_, one), number in self.counts.items() if one is outcome)

    @property
    def is_right(self) -> bool:
        """Whether every field is right now."""
        left = (Outcome.BUSY, Outcome.FAILED, Outcome.LEFT)
        return self.problem is None and not any(self.number(outcome) for outcome in left)

    def to_json(self) -> Json:
        return {
            "index": self.index,
            "documents": self.documents,
            "found": {kind.value: self.found(kind) for kind in Kind if self.found(kind)},
            **{outcome.value: self.number(outcome) for outcome in Outcome},
            "failures": [{"id": one.id, "field": one.field, "reason": one.reason} for one in self.failures],
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The faults of every index."""

    indices: tuple[IndexReport, ...]

    @property
    def is_right(self) -> bool:
        return all(index.is_right for index in self.indices)

    def to_json(self) -> Json:
        return {"right": self.is_right, "indices": [index.to_json() for index in self.indices]}
