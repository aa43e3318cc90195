"""JSON as clients send it: the levels, counted without parsing, and the same value in every way to write it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from sidecar.jsontext import Json, loads_exact, nesting_deeper_than, plain_json

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


_ODD_TEXTS = st.text(alphabet='a"/*\\\n\0\u00e9\u20ac\ud83d\ude00\U0001f600', max_size=8)
_ODD_JSON = st.recursive(
    _ODD_TEXTS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_ODD_TEXTS, inner, max_size=3),
    max_leaves=12,
)
_SPACE = st.sampled_from(["", " ", "\r\n", "/**/", '/* " */', '// } "\n', "/*/ [*/"])


def _joined(value: Json) -> Json:
    """The value as Java holds it: two halves of a pair side by side are one character."""
    return loads_exact(json.dumps(value).encode())


def _in_utf8_of_java(text: str) -> bytes:
    """Each half of a surrogate pair by itself (CESU-8), and NUL in two bytes."""
    units = text.encode("utf-16-le", "surrogatepass")
    halves = (chr(int.from_bytes(units[at : at + 2], "little")) for at in range(0, len(units), 2))
    return b"".join(b"\xc0\x80" if one == "\0" else one.encode("utf-8", "surrogatepass") for one in halves)


@given(_ODD_JSON, _SPACE, _SPACE, st.booleans(), st.booleans())
def test_every_way_to_write_a_value_gives_the_value(
    value: Json, before: str, after: str, has_bom: bool, is_of_java: bool
) -> None:
    written = json.dumps(value, ensure_ascii=False, separators=(f",{before}", f":{after}"))
    text = f"{after}{written}{before}".replace("\\u0000", "\0" if is_of_java else "\\u0000")
    body = _in_utf8_of_java(text) if is_of_java else text.encode("utf-8", "surrogatepass")

    plain = plain_json((b"\xef\xbb\xbf" if has_bom else b"") + body)

    assert loads_exact(plain) == _joined(value)
    assert plain_json(plain) is plain


@given(_ODD_JSON, st.sampled_from(["utf-16", "utf-16-le", "utf-32-be"]))
def test_wide_characters_give_the_value(value: Json, coding: str) -> None:
    body = json.dumps({"a": value}).encode(coding)

    assert loads_exact(plain_json(body)) == {"a": _joined(value)}


@given(st.binary(max_size=40))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert isinstance(plain_json(data), bytes)
