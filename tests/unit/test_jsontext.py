"""JSON as OpenSearch reads and writes it."""

import pytest

from sidecar.jsontext import canonical, dumps, dumps_quick, loads, loads_exact, nesting_deeper_than, value_digest


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
