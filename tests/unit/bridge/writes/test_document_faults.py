"""The faults that the reader of ingest pipelines does not notice."""

import pytest

from sidecar.bridge.writes.document_faults import fault_at_start, fault_of


@pytest.mark.parametrize(
    ("document", "token"),
    [
        (b"{} {}", ": START_OBJECT"),
        (b'{"a":{"b":[]}}\n[', ": START_ARRAY"),
        (b'{"a":"}"}"x"', ": VALUE_STRING"),
        (b"{} x", ""),
        (b"{}}", ""),
    ],
)
def test_text_behind_the_object_is_a_fault(document: bytes, token: str) -> None:
    fault = fault_of(document)

    assert fault is not None
    assert fault.cause == {
        "type": "illegal_argument_exception",
        "reason": f"Malformed content, found extra data after parsing{token}",
    }


@pytest.mark.parametrize("document", [b'{"a":', b'{"a":NaN}', b"{'a':1} \r\n", b'{"a":"}'])
def test_a_fault_within_the_object_is_left_to_the_cluster(document: bytes) -> None:
    assert fault_of(document) is None


@pytest.mark.parametrize(
    ("form", "document", "begins"),
    [
        ("json", b"{", True),
        ("json", b"\xef\xbb\xbf \t\r\n\x0b\x1c{", True),
        ("json", b" \xef\xbb\xbf{", False),
        ("json", b"\xc2\xa0{", False),
        ("json", b"---", False),
        ("json", b"DFL\0...", True),
        ("yaml", b"---", True),
        ("yaml", b" {", True),
        ("yaml", b"a: 1", False),
        ("cbor", b"\xa0", True),
        ("cbor", b"\xbf\xff", True),
        ("cbor", b"\xd9\xd9\xf7\xa0", True),
        ("cbor", b"{}", False),
        ("smile", b":)\n\0\xfa\xfb", True),
        ("smile", b":)\n\n\xfa\xfb", True),
        ("smile", b":)\n\0\xf8\xf9", False),
        ("smile", b"\xfa\xfb", False),
    ],
)
def test_a_document_begins_as_its_format_does(form: str, document: bytes, begins: bool) -> None:
    assert (fault_at_start(document, form) is None) == begins
