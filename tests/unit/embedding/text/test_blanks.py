"""Which characters a tokenizer drops, and a text without most of them."""

import pytest

from sidecar.embedding.text.blanks import Blanks
from tests.unit.embedding.text.test_tokenizer import LIBRARY

BERT = Blanks(lambda text: LIBRARY.encode(text, add_special_tokens=False).ids)
BYTES = Blanks(lambda text: list(text.encode()))


@pytest.mark.parametrize(
    ("text", "squeezed"),
    [
        pytest.param("one   two", "one two", id="spaces"),
        pytest.param("one\u200b\u200btwo", "onetwo", id="of no width"),
        pytest.param("one\u200b \u200btwo", "one two", id="both"),
        pytest.param("one two", "one two", id="single ones stay"),
        pytest.param("e\u0301\u0301\u0301", "e", id="marks"),
        pytest.param("one---two", "one---two", id="characters with tokens"),
        pytest.param("   ", " ", id="nothing else"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_runs_are_squeezed(text: str, squeezed: str) -> None:
    assert BERT.squeezed(text, 100) == squeezed
    assert BYTES.squeezed(text, 100) == text


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(0, 0, id="at a word"),
        pytest.param(3, 90_004, id="blanks"),
        pytest.param(90_006, 90_007, id="one blank"),
    ],
)
def test_the_end_of_a_run(start: int, end: int) -> None:
    text = "one" + " " * 90_001 + "tw" + "\n"
    assert BERT.end(text, start) == end
    assert BYTES.end(text, start) == start


def test_no_more_of_a_text_is_squeezed_than_asked_for() -> None:
    assert len(BERT.squeezed("word " * 1_000_000, 65_536)) == 2 * 65_536
