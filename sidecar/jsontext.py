"""JSON as OpenSearch reads and writes it: strict, without NaN, lone surrogates kept, compact.

orjson is quick but refuses lone surrogates, which OpenSearch accepts, and turns integers beyond 64 bits into floats;
the standard library reads both. So orjson goes first wherever only texts matter (`loads`), and the standard library
alone where a body is written again (`loads_exact`).
"""

import json
import math
from typing import NoReturn, TypeAlias, Union

import orjson

# typing.Union, since a string could not be joined with further types by "|" at run time.
Json: TypeAlias = Union["dict[str, Json]", "list[Json]", str, int, float, bool, None]

_BOM = b"\xef\xbb\xbf"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is beyond a double")
    return number


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


def loads(data: bytes) -> Json:
    """Parse JSON to read from it. The last of duplicate keys wins. Raises ValueError."""
    try:
        parsed: Json = orjson.loads(data)
    except ValueError:
        text = data.removeprefix(_BOM).decode("utf-8")
        try:
            parsed = json.loads(text, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    return parsed


def loads_exact(data: bytes) -> Json:
    """Parse JSON that will be written again: what could not be written as it was is refused.

    Integers stay exact. Raises ValueError, also for duplicate keys and for numbers beyond a double.
    """
    text = data.removeprefix(_BOM).decode("utf-8")
    try:
        parsed: Json = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return parsed


def at(value: Json, *keys: str) -> Json:
    """What stands at the end of a path of keys; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def dumps(value: object) -> bytes:
    """Compact JSON in ASCII, so that lone surrogates survive.

    Compact matters: Vector looks for the bytes `"errors":true` in a bulk answer and takes `"errors": true` for success.
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def canonical(value: object) -> bytes:
    """The one spelling of a value that is hashed: sorted keys, compact, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
