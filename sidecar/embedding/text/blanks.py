"""Characters that a tokenizer drops, such as blanks, controls and zero-width characters. Pure.

However many of them stand in a text, they must not push its words out of the window that is tokenised.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

_PIECE: Final = 65_536  # characters looked at together
_FIRST_PIECE: Final = 64
_REPLACEMENT: Final = "\ufffd"  # the one symbol that BERT drops

Ids = Callable[[str], Sequence[int]]


class Blanks:
    """The blanks of one tokenizer, which is asked once about each character."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._stands_for = lru_cache(4_096)(self._find)
        self._pattern = lru_cache(64)(_pattern)

    def squeezed(self, text: str, most: int) -> str:
        """The text with its runs of blanks cut to one space, or to nothing, as the tokenizer sees them.

        The value is not much longer than `most` characters, and it is complete if it is shorter.
        """
        kept: list[str] = []
        size = 0
        for start in range(0, len(text), _PIECE):
            piece = text[start : start + _PIECE]
            dropped = self._dropped(piece)
            if dropped:
                spaces = {blank for blank in dropped if self._stands_for(blank)}
                piece = self._pattern(dropped, 2).sub(
                    lambda run, spaces=spaces: " " if not spaces.isdisjoint(run[0]) else "",  # type: ignore[misc]
                    piece,
                )
            kept.append(piece)
            size += len(piece)
            if size > most:
                break
        return "".join(kept)

    def end(self, text: str, start: int) -> int:
        """The end of the run of blanks that begins at `start`."""
        size = _FIRST_PIECE  # most places in a text have a word at hand
        while start < len(text):
            piece = text[start : start + size]
            dropped = self._dropped(piece)
            run = self._pattern(dropped, 1).match(piece) if dropped else None
            start += run.end() if run else 0
            if run is None or run.end() < len(piece):
                break
            size = _PIECE
        return start

    def _dropped(self, piece: str) -> frozenset[str]:
        return frozenset(one for one in set(piece) if _may_be_dropped(one) and self._stands_for(one) is not None)

    def _find(self, blank: str) -> str | None:
        """The space, or the nothing, that any number of this character is to the tokenizer. None: it counts."""
        for standing_for in ("", " "):
            if all(
                self._ids(before + standing_for + after)
                == self._ids(before + blank + after)
                == self._ids(before + 2 * blank + after)
                for before, after in (("a", "b"), ("a", ""), ("", "b"))
            ):
                return standing_for
        return None


def _may_be_dropped(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "CZ" or category == "Mn" or character == _REPLACEMENT


def _pattern(dropped: frozenset[str], least: int) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(''.join(sorted(dropped)))}]{{{least},}}")
