"""What a repair says that it has found and done."""

from sidecar.repair.documents import Finding, Kind, StoredDocument
from sidecar.repair.report import Failure, IndexReport, Outcome, Report
from tests.support.bindings import a_binding


def finding(kind: Kind) -> Finding:
    return Finding(StoredDocument("papers", "7", None, 1, 1, {}, frozenset()), a_binding(), kind, "secret")


def test_the_later_pass_counts_what_is_left_and_the_earlier_what_it_has_mended() -> None:
    pending, audit = IndexReport("papers", documents=3), IndexReport("papers", documents=9)
    for outcome in (Outcome.MENDED, Outcome.GONE, Outcome.BUSY, Outcome.FAILED):
        pending.add(finding(Kind.PENDING), outcome)
    audit.add(finding(Kind.PENDING), Outcome.FAILED, "too odd")
    audit.add(finding(Kind.NO_TEXT), Outcome.MENDED)

    audit.take_over(pending)

    assert audit.to_json() == {
        "index": "papers",
        "documents": 9,
        "found": {"pending": 3, "no_text": 1},
        "mended": 2,
        "gone": 1,
        "busy": 0,
        "failed": 1,
        "left": 0,
        "failures": [{"id": "7", "field": "embedding", "reason": "too odd"}],
        "problem": None,
    }


def test_it_is_right_only_if_nothing_is_left_anywhere() -> None:
    mended, left, broken = IndexReport("a"), IndexReport("b"), IndexReport("c", problem="no mapping")
    mended.add(finding(Kind.PENDING), Outcome.MENDED)
    left.add(finding(Kind.PENDING), Outcome.LEFT)

    assert Report(()).is_right
    assert Report((mended,)).is_right
    assert not Report((mended, left)).is_right
    assert not Report((mended, broken)).is_right


def test_so_many_failures_are_named_and_all_are_counted() -> None:
    report = IndexReport("papers")
    for _ in range(1_500):
        report.add(finding(Kind.PENDING), Outcome.FAILED, "too odd")

    assert report.number(Outcome.FAILED) == 1_500
    assert report.failures == [Failure("papers", "7", "embedding", "too odd")] * 1_000
