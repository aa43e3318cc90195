"""Whatever documents clients write, only the splice differs; whatever bytes they send, nothing breaks."""

import json

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.splice import elements, members, splice
from tests.support.bulks import items_of, packed

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
documents = st.dictionaries(st.text(), values)
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:  ")])


def dump(value: object, separators: tuple[str, str], *, ascii_only: bool) -> bytes:
    return json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


@given(documents, spacing, st.booleans())
def test_splicing_adds_a_member_and_changes_nothing_else(
    document: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    source = dump(document, separators, ascii_only=ascii_only)

    spliced = splice(source, {"vector": b"[0.5]"}, {"vector"} & document.keys())

    assert json.loads(spliced) == {**document, "vector": [0.5]}
    if "vector" not in document:
        assert spliced.startswith(source[:-1])


@given(documents, spacing)
def test_members_are_those_that_a_parser_sees(document: dict[str, object], separators: tuple[str, str]) -> None:
    source = dump(document, separators, ascii_only=True)

    found = {m.key: json.loads(source[m.value_start : m.value_end]) for m in members(source)}

    assert found == document


@given(st.lists(values), spacing)
def test_elements_are_those_that_a_parser_sees(array: list[object], separators: tuple[str, str]) -> None:
    assert [json.loads(element) for element in elements(dump(array, separators, ascii_only=True))] == array


@given(st.lists(documents, min_size=1, max_size=8), st.integers(min_value=1, max_value=400))
def test_rendering_what_was_parsed_and_split_gives_the_same_bytes(sources: list[dict[str, object]], limit: int) -> None:
    body = b"".join(b'{"index":{}}\n' + dump(s, (",", ":"), ascii_only=True) + b"\n" for s in sources)

    items = items_of(body)

    assert items is not None
    sub_bulks, lines = packed(items, limit)
    assert lines == body
    assert b"".join(lines[part.start : part.end] for part in sub_bulks) == body


@given(
    st.lists(st.sampled_from([b'{"index":{}}', b'{"delete":{"_id":1}}', b'{"a":1}', b"", b"\r", b"{", b"\xff", b'"']))
)
def test_no_bytes_break_the_parser(lines: list[bytes]) -> None:
    body = b"\n".join([*lines, b""])

    items = items_of(body)

    assert items is None or all(item.action_line for item in items)
