"""How long embedding may hold up a write, from what the client asks for. Pure."""

import re
from collections.abc import Mapping
from typing import Final

_SECONDS: Final = {
    "nanos": 1e-9,
    "micros": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
}
# As TimeValue of OpenSearch reads it: any case, except that `M` is not minutes; whole numbers only; 0 needs no unit.
_TIME: Final = re.compile(r"\s*\+?(?P<number>[0-9]{1,19})\s*(?P<unit>(?i:nanos|micros|ms|s|h|d)|m)\s*|\s*0+\s*")


def write_budget_s(parameters: Mapping[str, str], default_s: float) -> float:
    """The embedding budget of one write: the default, or the client's `timeout` if that is shorter.

    A client that waits less for the cluster than we would embed is gone before its documents are stored. A `timeout`
    that OpenSearch cannot read changes nothing here, for the cluster's own error is the answer to it; so does -1, none.
    """
    found = _TIME.fullmatch(parameters.get("timeout", ""))
    if found is None:
        return default_s
    number, unit = found["number"], found["unit"]
    return min(default_s, int(number) * _SECONDS[unit.lower()]) if unit else 0.0
