"""Which bodies the bridge plans, decided without parsing them."""

import pytest

from sidecar.bridge.proxy.spool import Spool
from sidecar.bridge.searches.limits import has_too_many_items, is_too_large


@pytest.mark.parametrize(
    ("text", "is_large", "is_large_msearch"),
    [
        pytest.param(b"", False, False, id="nothing"),
        pytest.param(b"x" * 1_048_576, False, False, id="one text as large as can be"),
        pytest.param(b"x" * 1_048_577, True, True, id="one byte more"),
        pytest.param(b"{}" * 20_000, False, False, id="objects"),
        pytest.param(b"{}" * 20_001, True, True, id="one object more"),
        pytest.param(b"1," * 100_000, False, False, id="values"),
        pytest.param(b"1," * 100_001, True, True, id="one value more"),
        pytest.param(b"{}\n{}\n" * 1_000, False, False, id="items"),
        pytest.param(b"\n" + b"{}\n{}\n" * 1_000, False, False, id="items after an empty line"),
        pytest.param(b"{}\n{}\n" * 1_001, False, True, id="one item more"),
    ],
)
def test_limits(text: bytes, is_large: bool, is_large_msearch: bool) -> None:
    with Spool() as spool:
        spool.write(text)
        assert is_too_large(spool) is is_large
        assert has_too_many_items(spool) is is_large_msearch


def test_a_body_that_cannot_be_read_is_not_too_large() -> None:
    assert not is_too_large(None)
    assert not has_too_many_items(None)
