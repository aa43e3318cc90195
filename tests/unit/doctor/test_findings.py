"""An examination as people and programs read it."""

from sidecar.doctor.findings import Level, Subject, error, report, warning
from sidecar.doctor.parts import (
    unreachable,
)


def test_an_examination_is_reported_for_programs() -> None:
    found = (warning("pending", "2 wait", "sidecar repair a"), error("guard", "none", "PUT …"))

    subjects = (Subject("index", "a", "about", found), unreachable("bridge", "u", "refused", "sidecar bridge"))

    assert [subject.level for subject in subjects] == [Level.ERROR, Level.ERROR]
    assert not subjects[1].answers
    assert report(subjects) == {
        "found": {"error": 2, "warning": 1},
        "subjects": [
            {"kind": "index", "name": "a", "level": "error", "about": "about", "findings": [
                {"level": "warning", "check": "pending", "message": "2 wait", "remedy": "sidecar repair a"},
                {"level": "error", "check": "guard", "message": "none", "remedy": "PUT …"},
            ]},
            {"kind": "bridge", "name": "u", "level": "error", "about": "", "findings": [
                {"level": "error", "check": "unreachable", "message": "refused", "remedy": "sidecar bridge"},
            ]},
        ],
    }  # fmt: skip
