"""What a repair says that it has found and done."""

from sidecar.repair.documents import FieldFault, Kind, StoredDocument
from sidecar.repair.report import Failure, IndexReport, Outcome, Report
from tests.support.bindings import a_binding


def fault(kind: Kind) -> FieldFault:
    return FieldFault(StoredDocument("papers", "7", None, 1, 1, {}, frozenset()), a_binding(), kind, "secret")


def test_the_later_pass_counts_what_is_left_and_the_earlier_what_it_has_repaired() -> None:
    pending, audit = IndexReport("papers", documents=3), IndexReport("papers", documents=9)
    for outcome in (Outcome.REPAIRED, Outcome.GONE, Outcome.BUSY, Outcome.FAILED):
        pending.add(fault(Kind.PENDING), outcome)
    audit.add(fault(Kind.PENDING), Outcome.FAILED, "too odd")
    audit.add(fault(Kind.NO_TEXT), Outcome.REPAIRED)

    audit.take_over(pending)

    assert audit.to_json() == {
        "index": "papers",
        "documents": 9,
        "found": {"pending": 3, "no_text": 1},
        "repaired": 2,
        "gone": 1,
        "busy": 0,
        "failed": 1,
        "left": 0,
        "failures": [{"id": "7", "field": "embedding", "reason": "too odd"}],
        "problem": None,
    }


def test_it_is_right_only_if_nothing_is_left_anywhere() -> None:
    repaired, left, broken = IndexReport("a"), IndexReport("b"), IndexReport("c", problem="no mapping")
    repaired.add(fault(Kind.PENDING), Outcome.REPAIRED)
    left.add(fault(Kind.PENDING), Outcome.LEFT)

    assert Report(()).is_right
    assert Report((repaired,)).is_right
    assert not Report((repaired, left)).is_right
    assert not Report((repaired, broken)).is_right


def test_so_many_failures_are_named_and_all_are_counted() -> None:
    report = IndexReport("papers")
    for _ in range(1_500):
        report.add(fault(Kind.PENDING), Outcome.FAILED, "too odd")

    assert report.number(Outcome.FAILED) == 1_500
    assert report.failures == [Failure("papers", "7", "embedding", "too odd")] * 1_000
