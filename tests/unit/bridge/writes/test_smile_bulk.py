"""Updates in a bulk request in Smile."""

import pytest

from sidecar.bridge.writes.smile_bulk import updated_indices

HEAD = b":)\n\x00"


def action(name: bytes, *members: bytes) -> bytes:
    return HEAD + b"\xfa" + name + b"\xfa" + b"".join(members) + b"\xfb\xfb\xff"


@pytest.mark.parametrize(
    ("body", "path_index", "names"),
    [
        pytest.param(action(b"\x85update"), "a", {"a"}, id="the index of the path"),
        pytest.param(action(b"\x85update", b"\x85_index\x41ab"), None, {"ab"}, id="a tiny text"),
        pytest.param(action(b"\x85update", b"\x85_index\x60" + b"a" * 33), None, {"a" * 33}, id="a short text"),
        pytest.param(action(b"\x85update", b"\x85_index\x81\xc3\xa9b"), None, {"éb"}, id="a tiny text in Unicode"),
        pytest.param(action(b"\x85update", b"\x85_index\xe0" + b"a" * 99 + b"\xfc"), None, {"a" * 99}, id="a long one"),
        pytest.param(action(b"\x85update", b"\x85_index\x01"), None, {None}, id="a reference to a text before"),
        pytest.param(action(b"\xc4update", b"\xc4_index\x40a"), None, {"a"}, id="names that are written as Unicode"),
        pytest.param(
            action(b"\x34update\xfc", b"\x34_index\xfc\x40a"), None, {"a"}, id="names that are written as long"
        ),
        pytest.param(action(b"\x84index", b"\x85_index\x40a"), "a", set(), id="no update"),
        pytest.param(action(b"\x84index") + HEAD + b"\xfa\x82doc\x45update\xfb\xff", "a", set(), id="only the word"),
    ],
)
def test_updated_indices(body: bytes, path_index: str | None, names: set[str | None]) -> None:
    assert updated_indices(body, path_index) == names
