"""The check of a caller's arguments, before anything is sent. Pure. Every refusal is an InvalidInput.

Programs pass what they have read elsewhere, so the types that a signature names are checked, too.
"""

import math
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TypeVar

from sidecar.errors import InvalidInput
from sidecar.provenance import well_formed

C = TypeVar("C")
N = TypeVar("N")


def checked_texts(given: Iterable[str]) -> list[str]:
    """The texts of one call. One string, which would be a list of letters, is refused."""
    check_source(given)
    texts = [checked_text(text, position) for position, text in enumerate(given)]
    if not texts:
        raise InvalidInput("texts", "must hold at least one text")
    return texts


def check_source(given: object, *, may_be_async: bool = False) -> None:
    """Whether this is a source of texts."""
    is_source = isinstance(given, Iterable) or hasattr(given, "__getitem__")
    if may_be_async and isinstance(given, AsyncIterable):
        return
    if not is_source or isinstance(given, str | bytes | bytearray | memoryview | Mapping):
        raise InvalidInput("texts", f"must be a list of texts, not {_kind(given)}")


def checked_text(given: object, position: int) -> str:
    """A text, each lone surrogate in it as "?"."""
    if not isinstance(given, str):
        raise InvalidInput(f"texts[{position}]", f"must be a string, not {_kind(given)}")
    return well_formed(given)


def checked_name(field: str, given: object) -> str:
    """The id of a model, or a space."""
    if not isinstance(given, str):
        raise InvalidInput(field, f"must be a string, not {_kind(given)}")
    return well_formed(given)


def checked_choice(field: str, given: object, choices: Mapping[C, N]) -> N:
    """The number of a role or a lane in the contract."""
    try:
        return choices[given]  # type: ignore[index]  # any key may be looked up
    except (KeyError, TypeError):
        names = " or ".join(str(choice) for choice in choices)
        shown = f"[{given}]" if isinstance(given, str) else _kind(given)
        raise InvalidInput(field, f"must be {names}, not {shown}") from None


def check_timeout(given: object) -> None:
    """A time that a caller waits. 0 is allowed: a caller whose own time is over gets DeadlineExceeded."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise InvalidInput("timeout_s", f"must be a number of seconds, not {_kind(given)}")
    if not (math.isfinite(given) and given >= 0):
        raise InvalidInput("timeout_s", f"must be a number of seconds from 0 on, not {given}")


def _kind(given: object) -> str:
    return "None" if given is None else f"one {type(given).__name__}"
