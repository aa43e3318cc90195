"""Cuts a text that is too long for the model into parts that are not. Pure.

The parts cover the text without gap or overlap. Each part is found in a window of the text, so that the work grows with
the length of the text and not with its square, and the memory with the longest part.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.embedding.text.tokenizer import TokenSpans, most_characters, window

_FIRST_WINDOW: Final = 8_192  # characters. Most texts fit into it, and later windows follow the length of the last part

Look = Callable[[str], TokenSpans]  # the tokens of a text after its prompt
BlanksEnd = Callable[[str, int], int]  # the end of the characters from here on that the tokenizer drops


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a text, in code points, and its place in `CutTexts.texts`."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CutTexts:
    """Texts that were cut: each distinct part once, and the parts of each text, in order."""

    texts: tuple[str, ...]
    of: tuple[tuple[TextPart, ...], ...]


def joined(texts: Sequence[str], spans: Iterable[tuple[int, int, int]]) -> CutTexts:
    """The parts of texts at the places that `cut` gives. Equal parts are one, even in different texts."""
    numbers: dict[str, int] = {}
    of: list[list[TextPart]] = [[] for _ in texts]
    for position, start, end in spans:
        part = texts[position][start:end]
        of[position].append(TextPart(numbers.setdefault(part, len(numbers)), start, end))
    return CutTexts(tuple(numbers), tuple(tuple(parts) for parts in of))


def cut(
    texts: Sequence[str], look: Look, max_tokens: int, blanks_end: BlanksEnd = lambda _, start: start
) -> Iterator[tuple[int, int, int]]:
    """The position of the text, the start and the end of each part, in order. A text that fits is one part, even "".

    A part begins at a word if one begins within reach, otherwise at a token. Every part fits into the model, unless it
    is a single character or the prompt leaves no room. Blanks that the tokenizer drops belong to the words behind them,
    or at the end of the text to those before them. Other text with few tokens is cut by characters, so that no single
    look takes too long.
    """
    for position, text in enumerate(texts):
        start, size = 0, _FIRST_WINDOW
        while True:
            blanks = max(blanks_end(text, start) - start - 1, 0)  # one stays, for tokenizers that see a word begin
            end = _end(text, start + blanks, size, look, max_tokens)
            end = len(text) if blanks_end(text, end) == len(text) else end
            yield position, start, end
            if end == len(text):
                break
            start, size = end, 2 * (end - start)


def _end(text: str, start: int, size: int, look: Look, max_tokens: int) -> int:
    """The end of the part that begins at `start`. The first window that is tried has `size` characters."""
    most = most_characters(max_tokens) // 2  # so that a part is embedded whole, with its prompt
    size = min(size, most)
    found = window(text, start, size)
    seen = look(found)
    while seen.tokens <= max_tokens:
        if start + len(found) == len(text) or size == most:
            return start + len(found)
        size = min(2 * size, most)
        found = window(text, start, size)
        seen = look(found)
    if seen.tokens - len(seen.spans) >= max_tokens:  # the prompt alone fills the model, so the text will be cut off
        return len(text)
    while seen.tokens > max_tokens and len(found) > 1:
        found = found[: _boundary(found, seen, max_tokens)]
        seen = look(found)  # half a word may have more tokens alone than inside its word
    return start + len(found)


def _boundary(found: str, seen: TokenSpans, max_tokens: int) -> int:
    """The place to cut a window that does not fit: before a word, or before a token, or in the middle."""
    room = max(max_tokens - (seen.tokens - len(seen.spans)), 0)
    starts = [start for start, _ in seen.spans[: room + 1] if 0 < start < len(found)]
    words = (start for start in reversed(starts) if found[start - 1].isspace() or found[start].isspace())
    return next(words, max(starts, default=len(found) // 2))
