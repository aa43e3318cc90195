"""Cuts a text that is too long for the model into parts that are not. Pure.

The parts cover the text without gap or overlap. Each part is found in a window of the text, so that the work grows with
the length of the text and not with its square, and the memory with the longest part.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.embedding.text.tokenizer import TokenSpans, most_characters, window

_FIRST_WINDOW: Final = 8_192  # characters: most texts are seen whole; after it the last part tells what is enough

Look = Callable[[str], TokenSpans]  # what the model would see of a text, its prompt in front


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a text, in code points, and which of `Parts.texts` it is."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CutTexts:
    """What is embedded for some texts: each part once, and of which parts each text is made, in order."""

    texts: tuple[str, ...]
    of: tuple[tuple[TextPart, ...], ...]


def joined(texts: Sequence[str], spans: Iterable[tuple[int, int, int]]) -> CutTexts:
    """The parts of texts by what `cut` says; equal ones are one, whichever text they are of."""
    numbers: dict[str, int] = {}
    of: list[list[TextPart]] = [[] for _ in texts]
    for position, start, end in spans:
        part = texts[position][start:end]
        of[position].append(TextPart(numbers.setdefault(part, len(numbers)), start, end))
    return CutTexts(tuple(numbers), tuple(tuple(parts) for parts in of))


def cut(texts: Sequence[str], look: Look, max_tokens: int) -> Iterator[tuple[int, int, int]]:
    """Position of the text, start and end of each part, in order; a text that fits is one part, and so is "".

    A part begins with a word where one begins in reach, else with a token. It does not fit only if it is a single
    character, or if the prompt leaves no room for any. What has few tokens, such as spaces without end, is cut by
    characters: no look takes longer than others can wait for.
    """
    for position, text in enumerate(texts):
        start, size = 0, _FIRST_WINDOW
        while True:
            end = _end(text, start, size, look, max_tokens)
            yield position, start, end
            if end == len(text):
                break
            start, size = end, 2 * (end - start)


def _end(text: str, start: int, size: int, look: Look, max_tokens: int) -> int:
    """Where the part that begins at `start` ends; `size`: of the first window that is tried."""
    most = most_characters(max_tokens) // 2  # so that a part with its prompt is embedded whole
    size = min(size, most)
    found = window(text, start, size)
    seen = look(found)
    while seen.tokens <= max_tokens:
        if start + len(found) == len(text) or size == most:
            return start + len(found)
        size = min(2 * size, most)
        found = window(text, start, size)
        seen = look(found)
    if seen.tokens - len(seen.spans) >= max_tokens:  # the prompt alone fills the model: cut off, as without parts
        return len(text)
    while seen.tokens > max_tokens and len(found) > 1:
        found = found[: _boundary(found, seen, max_tokens)]
        seen = look(found)  # alone, half a word may have other tokens than in its word, and more
    return start + len(found)


def _boundary(found: str, seen: TokenSpans, max_tokens: int) -> int:
    """Where to cut a window that does not fit: before a word, else before a token, else in the middle."""
    room = max(max_tokens - (seen.tokens - len(seen.spans)), 0)
    starts = [start for start, _ in seen.spans[: room + 1] if 0 < start < len(found)]
    words = (start for start in reversed(starts) if found[start - 1].isspace() or found[start].isspace())
    return next(words, max(starts, default=len(found) // 2))
