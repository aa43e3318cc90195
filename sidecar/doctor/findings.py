"""The result of an examination: subjects, and the findings about each. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.jsontext import Json


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"  # all is as it should be, and the operator should know something
    WARNING = "warning"  # the system works, but worse than it could
    ERROR = "error"  # a promise of the system is broken, or will be


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or worth a note."""

    level: Level
    check: str  # a name for programs
    message: str  # the fact, and its consequence
    remedy: str  # the command that fixes it, or another way to do so


@dataclass(frozen=True, slots=True)
class Subject:
    """A part of the system, a template or an index, and its findings."""

    kind: str
    name: str
    about: str = ""
    findings: tuple[Finding, ...] = ()
    answers: bool = True  # False: a part of the system that could not be reached

    @property
    def level(self) -> Level:
        """The level of the worst finding."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in (Level.ERROR, Level.WARNING, Level.NOTE) if level in levels), Level.OK)

    def to_json(self) -> dict[str, Json]:
        """The subject as JSON."""
        findings: list[Json] = [
            {"level": one.level, "check": one.check, "message": one.message, "remedy": one.remedy}
            for one in self.findings
        ]
        return {"kind": self.kind, "name": self.name, "level": self.level, "about": self.about, "findings": findings}


def error(check: str, message: str, remedy: str) -> Finding:
    """A finding of level error."""
    return Finding(Level.ERROR, check, message, remedy)


def warning(check: str, message: str, remedy: str) -> Finding:
    """A finding of level warning."""
    return Finding(Level.WARNING, check, message, remedy)


def note(check: str, message: str, remedy: str) -> Finding:
    """A finding of level note."""
    return Finding(Level.NOTE, check, message, remedy)


def count(subjects: Sequence[Subject]) -> dict[Level, int]:
    """The number of errors and of warnings. Notes do not count, because nothing is wrong."""
    levels = Counter(finding.level for subject in subjects for finding in subject.findings)
    return {level: levels[level] for level in (Level.ERROR, Level.WARNING)}


def report(subjects: Sequence[Subject]) -> Mapping[str, Json]:
    """The whole examination as JSON."""
    found: dict[str, Json] = {level.value: number for level, number in count(subjects).items()}
    return {"found": found, "subjects": [subject.to_json() for subject in subjects]}
