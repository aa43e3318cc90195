"""Reads `minimum_should_match` as `Queries.calculateMinShouldMatch` of OpenSearch does. Pure."""

import re
from typing import Final

from sidecar.jsontext import Json

_PLAIN: Final = re.compile(r"([+-]?[0-9]{1,6})(%?)")


def minimum_of(wanted: Json, count: int) -> int | None:
    """The number of `count` optional clauses that must match. None for a form that is not read here."""
    if isinstance(wanted, bool) or not isinstance(wanted, int | str):
        return None
    plain = _PLAIN.fullmatch(str(wanted).strip())
    if plain is None:
        return None  # such as "2<75%"
    number = int(plain[1])
    asked = int(count * number / 100) if plain[2] else number
    return max(0, count + asked if asked < 0 else asked)


def asks_nothing(wanted: Json) -> bool:
    """Whether a clause of words asks for no more than one of them, however many words there are."""
    return minimum_of(wanted, 1) in (0, 1) and minimum_of(wanted, 1_000) in (0, 1)
