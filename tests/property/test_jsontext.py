"""The levels of JSON, counted without parsing."""

import json

from hypothesis import given
from hypothesis import strategies as st

from sidecar.jsontext import Json, nesting_deeper_than

_JSON = st.recursive(
    st.text(alphabet='[]{}"\\/*\n嬀a', max_size=6) | st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\/', max_size=3), inner, max_size=3)
    ),
    max_leaves=30,
)


def _levels(value: Json) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


@given(_JSON, st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32-be"]), st.booleans())
def test_the_levels_are_those_of_the_parsed_value(value: Json, encoding: str, escapes: bool) -> None:
    body = json.dumps(value, ensure_ascii=escapes).encode(encoding)
    levels = _levels(value)
    assert not nesting_deeper_than(body, levels)
    assert levels == 0 or nesting_deeper_than(body, levels - 1)
