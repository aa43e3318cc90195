"""A request of a client, taken apart."""

import pytest
from aiohttp.test_utils import make_mocked_request

from sidecar.bridge.proxy.identity import Credentials, Identity
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.signature import SignedRequest
from sidecar.errors import InvalidInput


def incoming(target: str = "/papers/_search", headers: dict[str, str] | None = None) -> IncomingRequest:
    return IncomingRequest(make_mocked_request("POST", target, headers=headers), Identity.of(["X-JWT"], ["jwt"]))


def test_the_target_stays_as_it_was_written() -> None:
    request = incoming("/%3Cpapers%3E/_search?q=a%20b&pretty")

    assert (request.method, request.target) == ("POST", "/%3Cpapers%3E/_search?q=a%20b&pretty")
    assert (request.path, request.query) == ("/%3Cpapers%3E/_search", "q=a%20b&pretty")
    assert request.parameters == {"q": "a b", "pretty": ""}


def test_a_request_without_a_query_has_no_parameters() -> None:
    assert incoming().parameters == {}


@pytest.mark.parametrize("target", ["http://other/papers", "*", "/papers/_doc/1#2"])
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(InvalidInput, match="request target: must be a path"):
        incoming(target)


def test_what_the_headers_say() -> None:
    request = incoming(headers={"Authorization": "Basic x", "X-Sidecar-Source": "1", "X-Sidecar-Explain": "0"})

    assert request.credentials == Credentials({"authorization": "Basic x"})
    assert (request.shows_source, request.wants_explanation) == (True, False)
    assert (request.header("authorization"), request.header("Accept")) == ("Basic x", "")


def test_the_cluster_gets_the_headers_but_for_those_that_are_left_out() -> None:
    request = incoming(headers={"Accept": "text/plain", "X-Mine": "a", "Connection": "close"})
    names = {name.lower() for name, _ in request.for_upstream("accept")}

    assert "x-mine" in names
    assert names.isdisjoint({"accept", "connection"})


def test_who_the_client_is_may_stand_in_the_url() -> None:
    request = incoming("/papers/_search?size=1;%6Awt=a%20b", headers={"X-JWT": "x"})

    assert request.credentials == Credentials({"x-jwt": "x"}, {"jwt": "a b"})
    assert request.identity.without(request.parameters) == {"size": "1"}
    assert request.identified("/_render/template") == "/_render/template?jwt=a%20b"
    assert request.identified("/a?b=c") == "/a?b=c&jwt=a%20b"


@pytest.mark.parametrize("name", ["Securitytenant", "X-JWT", "opendistro_security_impersonate_as"])
def test_what_says_who_the_client_is_cannot_be_taken_away(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"header Connection: must not name .{name.lower()}."):
        incoming(headers={name: "x", "Connection": f"close, {name}"})


def test_a_signature_holds_if_every_signed_header_arrives_as_it_was_sent() -> None:
    def signed(headers: str) -> IncomingRequest:
        value = f"AWS4-HMAC-SHA256 Credential=c, SignedHeaders={headers}, Signature=s"
        sent = {"Authorization": value, "Host": "search.example", "X-Amz-Date": "d", "X-Forwarded-For": "6.6.6.6"}
        return incoming(headers=sent)

    signed("host;x-amz-date").check_signature(is_rewritten=False)
    incoming().check_signature(is_rewritten=True)
    with pytest.raises(SignedRequest, match="rewrites requests of this kind"):
        signed("host").check_signature(is_rewritten=True)
    with pytest.raises(SignedRequest, match="x-forwarded-for"):
        signed("host;x-forwarded-for").check_signature(is_rewritten=False)
