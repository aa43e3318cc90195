"""JSON as OpenSearch reads and writes it."""

import pytest

from sidecar.jsontext import (
    Json,
    as_text,
    canonical,
    dumps,
    dumps_quick,
    first_member,
    loads,
    loads_as_written,
    loads_exact,
    nesting_deeper_than,
    plain_document,
    plain_json,
    value_digest,
)


@pytest.mark.parametrize("read", [loads, loads_exact])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'{"a":[1,2.5,null,true]}', {"a": [1, 2.5, None, True]}, id="plain"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', {"a": 1}, id="a BOM is dropped"),
        pytest.param(b'"a\\ud800b"', "a\ud800b", id="a lone surrogate is kept"),
        pytest.param('"é😀"'.encode(), "é😀", id="UTF-8"),
    ],
)
def test_read(read: object, data: bytes, expected: object) -> None:
    assert read(data) == expected  # type: ignore[operator]


@pytest.mark.parametrize("read", [loads, loads_exact])
@pytest.mark.parametrize("data", [b"NaN", b"{", b"\xff", b"[-Infinity]", b"[" * 100_000])
def test_what_is_not_json_is_a_value_error(read: object, data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kind will do
        read(data)  # type: ignore[operator]


def test_exact_reading_keeps_long_integers_and_refuses_duplicate_keys() -> None:
    assert loads_exact(b"123456789012345678901234567890") == 123456789012345678901234567890
    with pytest.raises(ValueError, match="beyond a double"):
        loads_exact(b"1e400")
    with pytest.raises(ValueError, match="duplicate key"):
        loads_exact(b'{"a":1,"a":2}')


def test_writing_is_compact_and_keeps_surrogates() -> None:
    assert dumps({"errors": True, "t": "a\ud800é"}) == b'{"errors":true,"t":"a\\ud800\\u00e9"}'
    with pytest.raises(ValueError, match="JSON compliant"):
        dumps(float("nan"))


@pytest.mark.parametrize("value", [{}, [], {"a": 1, "é": [True, None, {}, [], "x", {"b": 1.5, "c": (2,)}]}])
def test_what_is_nested_deeper_than_python_goes_is_written_alike(value: object) -> None:
    deep, levels = value, 3_000
    for _ in range(levels):
        deep = {"k": [deep]}

    assert dumps(deep) == b'{"k":[' * levels + dumps(value) + b"]}" * levels


@pytest.mark.parametrize("value", [{"v": [0.1, 1e-7], "t": "é"}, {"t": "\ud800"}, {"n": 2**64}, [[]]])
def test_what_is_written_quickly_reads_alike(value: object) -> None:
    assert loads_exact(dumps_quick(value)) == value


def test_canonical_json_sorts_keys() -> None:
    assert canonical({"b": 1, "a": {"d": None, "c": []}}) == b'{"a":{"c":[],"d":null},"b":1}'


def test_equal_values_have_one_digest() -> None:
    assert value_digest({"b": 1, "a": 2}) == value_digest({"a": 2, "b": 1})
    assert value_digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


_DEEP = '{"a":' * 3 + "[[]]" + "}" * 3  # 5 levels


@pytest.mark.parametrize(
    ("body", "levels"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"5", 0, id="no structure"),
        pytest.param(b"[]" * 9, 1, id="side by side"),
        pytest.param(_DEEP.encode(), 5, id="objects and lists"),
        pytest.param(b"[[", 2, id="not closed"),
        pytest.param(b'["[[[[",{"{{":"\\"[["}]', 2, id="brackets in strings"),
        pytest.param(b'["\\\\",[["\\\\"]]]', 3, id="a string that ends in a backslash"),
        pytest.param(b'[["[[[', 2, id="a string without an end"),
        pytest.param(b'[["[[[\\', 2, id="a string that breaks off"),
        pytest.param(b'[/*"*/[/*[[*/[//"[[[\n[', 4, id="quotes and brackets in comments"),
        pytest.param(b"[[/[/[", 4, id="slashes that are no comments"),
        pytest.param(b"[/*[[[", 1, id="a comment without an end"),
        pytest.param(b"\xef\xbb\xbf" + _DEEP.encode(), 5, id="a BOM"),
        pytest.param(('{"\\\\":' + _DEEP + "}").encode("utf-16-le"), 6, id="UTF-16"),
        pytest.param(_DEEP.encode("utf-16"), 5, id="UTF-16 with a BOM"),
        pytest.param(_DEEP.encode("utf-32-be"), 5, id="UTF-32"),
        pytest.param('["嬀嬀",[]]'.encode("utf-16-le"), 2, id="bytes of brackets in wide characters"),
        pytest.param(b'["' + b"x" * 200_000 + b'[",' + b'"",' * 5000 + b"[1]]", 2, id="more than one stretch"),
    ],
)
def test_the_levels_of_nesting_are_counted(body: bytes, levels: int) -> None:
    assert not nesting_deeper_than(body, levels)
    assert levels == 0 or nesting_deeper_than(body, levels - 1)


def test_levels_are_counted_without_recursion() -> None:
    assert nesting_deeper_than(b'{"a":' * 1_000_000, 999_999)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b'{"a":"//"}', b'{"a":"//"}', id="no comment"),
        pytest.param(b'/* a */{"a":1 // "b"\n}', b' {"a":1  \n}', id="comments"),
        pytest.param(b'{"a":"\\"/*","b":"*/"}', b'{"a":"\\"/*","b":"*/"}', id="signs of a comment within texts"),
        pytest.param(b'{"a":1} /* x', b'{"a":1} /* x', id="a comment without an end"),
        pytest.param('{"é":1}'.encode("utf-16"), '{"é":1}'.encode(), id="UTF-16"),
        pytest.param("{}".encode("utf-16-le"), b"{}", id="UTF-16, little end first"),
        pytest.param("{}".encode("utf-16-be"), b"{}", id="UTF-16, big end first"),
        pytest.param("{}".encode("utf-32"), b"{}", id="UTF-32"),
        pytest.param("{}".encode("utf-32-le"), b"{}", id="UTF-32, little end first"),
        pytest.param("{}".encode("utf-32-be"), b"{}", id="UTF-32, big end first"),
        pytest.param(b"{\0}", b"{\0}", id="cut UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', b'{"a":1}', id="a BOM"),
        pytest.param(b'\xef\xbb\xbf/**/{"a":"\xed\xa0\xbd"}', b' {"a":"\\ud83d"}', id="all of it"),
        pytest.param(b'{"a":"http://b/*"}', b'{"a":"http://b/*"}', id="an address"),
        pytest.param(b'{"a":"\xff"}', b'{"a":"\xff"}', id="no encoding of any character"),
    ],
)
def test_plain_json(text: bytes, plain: bytes) -> None:
    assert plain_json(text) == plain


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        pytest.param(b"a\xed\xa0\xbdb", "a\ud83db", id="the first half of a pair"),
        pytest.param(b"a\xed\xb8\x80b", "a\ude00b", id="the second half"),
        pytest.param(b"\xed\xa0\xbd\xed\xb8\x80", "\U0001f600", id="CESU-8"),
        pytest.param(b"\xed\xa0\xbd\\ude00", "\U0001f600", id="a pair of a raw and an escaped half"),
        pytest.param(b"\xc0\x80", "\0", id="NUL of modified UTF-8"),
        pytest.param(b"\xc1\xa1\xe0\x81\xa1", "aa", id="longer than needed"),
        pytest.param(b"\xc0\xa2", '"', id="a quote that ends no string"),
        pytest.param(b"\xf0\x80\x81\xa1", "\uffc0\udc61", id="four bytes where one is enough"),
        pytest.param(b"\xf4\x90\x80\x80", "\udc00\udc00", id="beyond all characters"),
        pytest.param(b"\xf7\xbf\xbf\xbf", "\udfbf\udfff", id="far beyond"),
    ],
)
def test_characters_are_decoded_as_the_cluster_decodes_them(raw: bytes, read: str) -> None:
    """Each was seen on a node of 2.19.1, see tests/cluster/bridge/writes/test_bytes.py."""
    assert loads(plain_json(b'{"' + raw + b'":["\xc3\xa9' + raw + b'"]}')) == {read: ["\u00e9" + read]}


@pytest.mark.parametrize(
    "raw", [b"\x80", b"\xf8\x88\x80\x80\x80", b"\xc3", b"\xed\xa0", b"\\\xc1\xa1", b"\\\xc0\xae", b"\x01"]
)
def test_what_the_cluster_does_not_decode_stays_no_json(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kind will do
        loads(plain_json(b'"' + raw + b'"'))


def test_a_document_begins_with_a_brace() -> None:
    for coding, taken in (
        ("utf-16", False),
        ("utf-16-be", False),
        ("utf-32-be", False),
        ("utf-16-le", True),
        ("utf-8-sig", True),
    ):
        assert (plain_document('{"a":1}'.encode(coding)) == b'{"a":1}') is taken


def test_numbers_are_read_as_they_are_written() -> None:
    assert loads_as_written(b'[1e3, 1.50, -0, true, null, "x"]') == ["1e3", "1.50", "-0", True, None, "x"]
    for bad in (b"[NaN]", b'{"a":1,"a":2}', b"[1] x", b"[" * 100_000):
        with pytest.raises(ValueError):  # noqa: PT011 - any of its kind will do
            loads_as_written(bad)


@pytest.mark.parametrize(
    ("line", "member"),
    [
        pytest.param(b' { "a" : {"b": 1.50} }', ("a", {"b": "1.50"}, b'"a" : {"b": 1.50}'), id="one"),
        pytest.param(b'{"a":1,"a":2}', ("a", "1", b'"a":1'), id="two of one name"),
        pytest.param(b'{"a":{} nonsense', ("a", {}, b'"a":{}'), id="nothing behind it is read"),
        pytest.param(b'{"\\u0061\\"":1', ('a"', "1", b'"\\u0061\\"":1'), id="escapes"),
    ],
)
def test_the_first_member_is_read_alone(line: bytes, member: tuple[str, Json, bytes]) -> None:
    assert first_member(line) == member


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[1]", b'{"a"}', b'{"a":}', b'{"a":{"b":1,"b":2}}', b'{"\\x":1}', b'{"a":"\xff"}']
)
def test_what_has_no_first_member_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kind will do
        first_member(line)


def test_numbers_and_booleans_are_texts_where_the_cluster_wants_one() -> None:
    assert [as_text(value) for value in ("x", "", 7, True, False, None, [], {})] == [
        "x", "", "7", "true", "false", None, None, None,
    ]  # fmt: skip
