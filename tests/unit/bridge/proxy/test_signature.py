"""Which requests are signed, and which of them cannot cross the bridge."""

import pytest

from sidecar.bridge.proxy.errors import error_status
from sidecar.bridge.proxy.signature import SignedRequest, check_signature, signed_headers

FORWARDED = {"host", "x-amz-date"}


@pytest.mark.parametrize(
    ("headers", "parameters", "expected"),
    [
        pytest.param([("Authorization", "AWS4-HMAC-SHA256 Credential=c, SignedHeaders=host;x-amz-date, Signature=s")],
                     {}, {"host", "x-amz-date"}, id="a header"),
        pytest.param([("authorization", "aws4-ecdsa-p256-sha256 SignedHeaders=Host")], {}, {"host"}, id="SigV4A"),
        pytest.param([("Authorization", "AWS4-HMAC-SHA256")], {}, set(), id="a broken header"),
        pytest.param([], {"X-Amz-Signature": "s", "X-Amz-SignedHeaders": "host"}, {"host"}, id="in the URL"),
        pytest.param([("Authorization", "Basic AWS4-")], {"x-amz-date": "d"}, None, id="other credentials"),
    ],
)  # fmt: skip
def test_a_signature_is_found(headers: list, parameters: dict, expected: set | None) -> None:
    assert signed_headers(headers, parameters) == expected


def test_a_signature_that_would_break_is_refused() -> None:
    check_signature(frozenset({"host"}), FORWARDED, is_rewritten=False)
    with pytest.raises(SignedRequest, match=r"does not forward the signed header .x-sidecar-mode. as it came"):
        check_signature(frozenset({"host", "x-sidecar-mode"}), FORWARDED, is_rewritten=False)
    with pytest.raises(SignedRequest, match="use credentials that are no signature") as caught:
        check_signature(frozenset(), FORWARDED, is_rewritten=True)

    assert error_status(caught.value) == (400, "signed_request_not_rewritable")
