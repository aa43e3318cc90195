"""What says who a client is, and how credentials are told apart."""

import pytest

from sidecar.bridge.proxy.identity import Credentials, Identity
from sidecar.errors import InvalidInput

KEY = b"k"


def test_the_known_headers_and_those_of_the_settings_say_who_a_client_is() -> None:
    identity = Identity.of(["X-JWT"], ["jwt"])
    sent = [
        ("Authorization", "Basic x"), ("Opendistro_Security_Impersonate_As", "carol"), ("SecurityTenant", "t"),
        ("security_tenant", "u"), ("x-jwt", "token"), ("X-Opaque-Id", "7"),
    ]  # fmt: skip

    found = identity.credentials(sent, {"jwt": "other", "size": "3"})

    assert found == Credentials(
        {
            "authorization": "Basic x",
            "opendistro_security_impersonate_as": "carol",
            "securitytenant": "t",
            "security_tenant": "u",
            "x-jwt": "token",
        },
        {"jwt": "other"},
    )
    assert identity.without({"jwt": "other", "size": "3"}) == {"size": "3"}


@pytest.mark.parametrize("name", ["Authorization", "securitytenant", "X-JWT"])
def test_a_header_that_says_it_twice_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Identity.of(["x-jwt"], []).credentials([(name, "a"), (name.upper(), "b")], {})

    assert str(caught.value) == f"header {name.upper()}: must not be given more than once"


def test_all_cookies_count() -> None:
    one = Identity().credentials([("Cookie", "a=1"), ("cookie", "b=2")], {})

    assert one == Credentials({"cookie": "a=1; b=2"})


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Credentials({"a": "2", "b": "1"}), id="another value"),
        pytest.param(Credentials({"a": "1"}), id="fewer"),
        pytest.param(Credentials({"a": "1"}, {"b": "1"}), id="in the URL"),
        pytest.param(Credentials({"a": "1\n1:b1:1"}), id="values that look like several"),
        pytest.param(Credentials({"a": "1", "b": "caf\udce9"}), id="bytes that are no text"),
    ],
)
def test_credentials_are_told_apart(other: Credentials) -> None:
    mine = Credentials({"a": "1", "b": "1"})

    assert mine.digest(KEY) == Credentials({"b": "1", "a": "1"}).digest(KEY)
    assert mine.digest(KEY) != other.digest(KEY)
    assert mine.digest(KEY) != mine.digest(b"other")


def test_credentials_do_not_show_in_a_traceback() -> None:
    assert "secret" not in repr(Credentials({"authorization": "secret"}, {"jwt": "secret"}))
