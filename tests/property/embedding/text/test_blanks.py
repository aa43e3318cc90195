"""Wherever blanks stand, a text has the tokens that the whole text has for the library."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.embedding.text.chunking import cut
from sidecar.embedding.text.tokenizer import TextTokenizer
from tests.property.embedding.text.test_chunking import MAX_TOKENS, TOKENIZERS

WORDS = st.text(alphabet="the a.漢é", min_size=1, max_size=6)
RUNS = st.builds(
    lambda blanks, times: blanks * times,
    st.text(alphabet=" \n\t\0\u200b\u3000\u0301\ufeff", max_size=3),
    st.integers(1, 60),
)
TEXTS = st.lists(WORDS | RUNS, max_size=8).map("".join)


def small(tokenizer: TextTokenizer) -> TextTokenizer:
    """The same tokenizer, which looks at few characters at once."""
    copy = TextTokenizer(tokenizer._tokenizer, MAX_TOKENS)
    copy._most_characters = 64
    return copy


@pytest.mark.parametrize("tokenizer", [TOKENIZERS["WordPiece"], TOKENIZERS["byte-level BPE"]], ids=["WordPiece", "BPE"])
@given(TEXTS)
def test_a_small_window_sees_the_tokens_that_a_large_one_sees(tokenizer: TextTokenizer, text: str) -> None:
    (found,), (expected,) = small(tokenizer).encode([text]), tokenizer.encode([text])
    assert found.ids.tolist() == expected.ids.tolist()
    assert (found.dropped > 0) == (expected.dropped > 0)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
@given(TEXTS)
def test_no_part_of_a_text_is_blank(tokenizer: TextTokenizer, text: str) -> None:
    look = partial(tokenizer.seen, "")
    parts = [text[start:end] for _, start, end in cut([text], look, MAX_TOKENS, tokenizer.blanks.end)]
    assert "".join(parts) == text
    assert len(parts) == 1 or all(look(part).spans for part in parts)
    assert all(one.dropped == 0 for one in tokenizer.encode(parts))
