"""Drawn requests, good, odd and broken: through the bridge no looser than directly. `make soak` sends 10,000 of them."""

from pathlib import Path

from tests.soak.differences import DIFFERENCES
from tests.soak.fuzz import wrong_answers
from tests.support.folders import ROOT


async def test_no_request_is_answered_more_loosely_or_stored_differently(
    node_url: str, unique: str, tmp_path: Path
) -> None:
    assert await wrong_answers(node_url, unique, tmp_path / "log", count=260, first_seed=1) == []


def test_every_difference_that_is_meant_is_documented() -> None:
    page = " ".join((ROOT / "docs" / "security.md").read_text().split()).lower()

    assert [one.why for one in DIFFERENCES if one.why.lower() not in page] == []
