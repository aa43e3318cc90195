"""Which headers cross the bridge; what happens to a query string."""

import pytest
from multidict import CIMultiDict

from sidecar.bridge.proxy import headers as wire
from sidecar.errors import InvalidInput


def test_headers_of_one_connection_and_claims_about_the_client_stay_behind() -> None:
    sent = [
        ("Host", "search.example"), ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("Upgrade", "h2c"),
        ("HTTP2-Settings", "x"), ("Transfer-Encoding", "chunked"), ("X-Forwarded-For", "6.6.6.6"),
        ("x-proxy-user", "admin"), ("x-proxy-roles", "all"), ("X_Forwarded_For", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6"), ("X-Forwarded-By", "6.6.6.6"), ("X-Real-IP", "6.6.6.6"),
        ("X-Forwarded-Host", "evil"), ("x-forwarded-proto", "https"), ("X-Forwarded-Port", "1"), ("X-Client-IP", "6"),
        ("X-Forwarded-Anything", "1"),
        ("X-Sidecar-Mode", "off"), ("Authorization", "Basic x"), ("X-Opaque-Id", "7"), ("Content-Length", "3"),
    ]  # fmt: skip

    assert wire.to_upstream(sent, "127.0.0.9", without=("content-length",)) == [
        ("Host", "search.example"),
        ("Authorization", "Basic x"),
        ("X-Opaque-Id", "7"),
        ("Via", "1.1 sidecar"),
        ("X-Forwarded-For", "127.0.0.9"),
    ]


def test_a_trusted_proxy_says_for_whom_it_speaks() -> None:
    sent = [("X-Forwarded-For", "6.6.6.6, 7.7.7.7"), ("x-forwarded-for", "8.8.8.8"), ("X-Forwarded-Proto", "https"),
            ("Forwarded", "for=6.6.6.6"), ("x-proxy-user", "admin")]  # fmt: skip

    assert wire.to_upstream(sent, "10.0.0.1", is_proxied=True) == [
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=6.6.6.6"),
        ("Via", "1.1 sidecar"),
        ("X-Forwarded-For", "6.6.6.6, 7.7.7.7, 8.8.8.8, 10.0.0.1"),
    ]


def test_who_acts_for_another_user_does_so_through_the_bridge_too() -> None:
    named = ("opendistro_security_impersonate_as", "carol")

    assert named in wire.to_upstream([named], None)
    assert wire.credentials(CIMultiDict([("Opendistro_Security_Impersonate_As", "carol")])) == dict([named])


def test_an_answer_keeps_its_headers_but_those_of_the_connection() -> None:
    received = [("Warning", "1"), ("Warning", "2"), ("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip")]

    assert wire.to_client(received) == [("Warning", "1"), ("Warning", "2"), ("Content-Encoding", "gzip")]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        pytest.param(("X-A", "caf\udce9"), "header X-A: the value is not valid UTF-8", id="Latin-1"),
        pytest.param(("Transfer-Encoding", "gzip, chunked"), "header Transfer-Encoding: only [chunked] is supported",
                     id="transfer coding"),
        pytest.param(("Connection", "Authorization"), "header Connection: must not name [authorization]",
                     id="stripping credentials"),
    ],
)  # fmt: skip
def test_what_cannot_be_forwarded_truthfully_is_refused(header: tuple[str, str], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        wire.check_request([header])

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("encodings", "accepts"),
    [
        pytest.param("", False, id="none"),
        pytest.param("gzip, deflate, br", True, id="a list"),
        pytest.param("identity, gzip;q=0.5", True, id="with a weight"),
        pytest.param("x-gzip", True, id="the old name"),
        pytest.param("GZIP", False, id="in capitals, which netty does not know"),
        pytest.param("gzip;q=0", False, id="refused"),
        pytest.param("gzip;q=0.0", False, id="refused with a decimal"),
        pytest.param("identity", False, id="another"),
    ],
)
def test_accepts_gzip(encodings: str, accepts: bool) -> None:
    assert wire.accepts_gzip(encodings) == accepts
