"""A request of a client, taken apart."""

import pytest
from aiohttp.test_utils import make_mocked_request

from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.errors import InvalidInput


def incoming(target: str = "/papers/_search", headers: dict[str, str] | None = None) -> IncomingRequest:
    return IncomingRequest(make_mocked_request("POST", target, headers=headers))


def test_the_target_stays_as_it_was_written() -> None:
    request = incoming("/%3Cpapers%3E/_search?q=a%20b&pretty")

    assert (request.method, request.target) == ("POST", "/%3Cpapers%3E/_search?q=a%20b&pretty")
    assert (request.path, request.query) == ("/%3Cpapers%3E/_search", "q=a%20b&pretty")
    assert request.parameters == {"q": "a b", "pretty": ""}


def test_a_request_without_a_query_has_no_parameters() -> None:
    assert incoming().parameters == {}


@pytest.mark.parametrize("target", ["http://other/papers", "*"])
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(InvalidInput, match="request target: must be a path"):
        incoming(target)


def test_what_the_headers_say() -> None:
    request = incoming(headers={"Authorization": "Basic x", "X-Sidecar-Source": "1", "X-Sidecar-Explain": "0"})

    assert request.credentials == {"authorization": "Basic x"}
    assert (request.shows_source, request.wants_explanation) == (True, False)
    assert (request.header("authorization"), request.header("Accept")) == ("Basic x", "")


def test_the_cluster_gets_the_headers_but_for_those_that_are_left_out() -> None:
    request = incoming(headers={"Accept": "text/plain", "X-Mine": "a", "Connection": "close"})
    names = {name.lower() for name, _ in request.for_upstream("accept")}

    assert "x-mine" in names
    assert names.isdisjoint({"accept", "connection"})
