"""A splice changes only what it must, and finds members wherever white space and escapes put them."""

import pytest

from sidecar.bridge.splice import Member, elements, end_of_object, members, splice, splice_member


@pytest.mark.parametrize(
    ("document", "additions", "drop", "expected"),
    [
        pytest.param(b'{"a":1}', {"v": b"[1]"}, (), b'{"a":1,"v":[1]}', id="at the end"),
        pytest.param(b"{}", {"v": b"1"}, (), b'{"v":1}', id="into an empty object"),
        pytest.param(b" { } ", {"v": b"1"}, (), b' { "v":1} ', id="white space stays"),
        pytest.param(b'{"a":1}', {}, (), b'{"a":1}', id="nothing to add"),
        pytest.param(b'{"a" : 1.50 }\r', {"v": b"1"}, (), b'{"a" : 1.50 ,"v":1}\r', id="float text stays"),
        pytest.param(b'{"n":123456789012345678901234567890}', {"v": b"1"}, (),
                     b'{"n":123456789012345678901234567890,"v":1}', id="long integers stay"),
        pytest.param(b'{"a":"{","b":{}}', {"v": b"1"}, (), b'{"a":"{","b":{},"v":1}', id="braces in strings"),
        pytest.param(b'{"v":[1,2],"a":1}', {"v": b"0"}, ("v",), b'{"a":1,"v":0}', id="replaced"),
        pytest.param(b'{"v":1,"a":{"v":2},"v":3}', {}, ("v",), b'{"a":{"v":2}}', id="every duplicate, no nested one"),
        pytest.param(b'{"\\u0076":1,"a":2}', {}, ("v",), b'{"a":2}', id="an escaped key"),
        pytest.param(b'{"v":1}', {"v": b"2"}, ("v",), b'{"v":2}', id="the only member replaced"),
        pytest.param(b'{"a":1}', {'q"t': b"1"}, (), b'{"a":1,"q\\"t":1}', id="a name is escaped"),
    ],
)  # fmt: skip
def test_splice(document: bytes, additions: dict[str, bytes], drop: tuple[str, ...], expected: bytes) -> None:
    assert splice(document, additions, drop) == expected


def test_splice_member_changes_only_the_named_object() -> None:
    body = b'{"detect_noop":true, "doc" : {"t":"x"} ,"_source":["doc"]}'

    assert splice_member(body, "doc", {"v": b"null"}) == (
        b'{"detect_noop":true, "doc" : {"t":"x","v":null} ,"_source":["doc"]}'
    )


def test_splice_member_takes_the_last_of_duplicates_as_a_parser_does() -> None:
    assert splice_member(b'{"doc":{"a":1},"doc":{"b":2}}', "doc", {"v": b"0"}) == (
        b'{"doc":{"a":1},"doc":{"b":2,"v":0}}'
    )


def test_members_gives_keys_and_value_spans() -> None:
    document = b' {"a" : [1, {"b":2}] ,"c":"x,}"}'

    found = list(members(document))

    assert [member.key for member in found] == ["a", "c"]
    assert [document[member.value_start : member.value_end] for member in found] == [b'[1, {"b":2}]', b'"x,}"']
    assert found[1] == Member("c", 22, 26, 31)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        pytest.param(b"[]", [], id="empty"),
        pytest.param(b"[ ]", [], id="blank"),
        pytest.param(b'[{"a":[1,2]} , 3,"],"]', [b'{"a":[1,2]}', b"3", b'"],"'], id="mixed"),
    ],
)
def test_elements(array: bytes, expected: list[bytes]) -> None:
    assert list(elements(array)) == expected


@pytest.mark.parametrize(
    ("document", "end"),
    [
        pytest.param(b' {"a":[{}]} {}', 11, id="text behind"),
        pytest.param(b'{"a":"}\\"}"}', 12, id="braces in a string"),
        pytest.param(b'{"a":{}', 7, id="no end"),
    ],
)
def test_end_of_object(document: bytes, end: int) -> None:
    assert end_of_object(document) == end
