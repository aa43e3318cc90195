"""Who a client is, and how much each may have in work."""

from contextlib import ExitStack
from ipaddress import ip_network

import pytest

from sidecar.bridge.proxy.clients import Clients, TooManyRequests


def clients(requests: int = 10, client_requests: int = 10, client_bytes: int = 10, *proxies: str) -> Clients:
    networks = tuple(ip_network(proxy) for proxy in proxies)
    return Clients(networks, max_requests=requests, max_client_requests=client_requests, max_client_bytes=client_bytes)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        pytest.param("1.1.1.1", [], "1.1.1.1", id="its own address"),
        pytest.param("1.1.1.1", ["2.2.2.2"], "1.1.1.1", id="a word of nobody who is trusted"),
        pytest.param("10.0.0.1", ["2.2.2.2"], "2.2.2.2", id="a word of a proxy"),
        pytest.param("::ffff:10.0.0.1", ["2.2.2.2"], "2.2.2.2", id="over a socket of IPv6"),
        pytest.param("10.0.0.1", ["3.3.3.3, 2.2.2.2"], "2.2.2.2", id="what a client told the proxy"),
        pytest.param("10.0.0.1", ["3.3.3.3", "2.2.2.2, 10.9.9.9"], "2.2.2.2", id="a proxy behind a proxy"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="the proxy itself"),
        pytest.param("10.0.0.1", ["10.0.0.2"], "10.0.0.2", id="only proxies"),
        pytest.param("10.0.0.1", ["unknown"], "unknown", id="a name in place of an address"),
        pytest.param("10.0.0.1", [""], "?", id="an empty word"),
        pytest.param(None, ["2.2.2.2"], "?", id="no address"),
    ],
)
def test_the_client_is_the_last_address_that_no_proxy_has(peer: str | None, forwarded: list[str], client: str) -> None:
    assert clients(1, 1, 1, "10.0.0.0/8").client(peer, forwarded) == client


def test_one_client_has_so_many_requests_in_work() -> None:
    counted = clients(client_requests=2)
    with counted.in_work("a"), counted.in_work("a"), counted.in_work("b"):
        with pytest.raises(TooManyRequests) as refused, counted.in_work("a"):
            pytest.fail("is in work")
        assert str(refused.value) == (
            "the requests of one client exceed the limit of [2] requests (bridge.max_client_requests)"
        )
    with counted.in_work("a"):
        pass


def test_all_clients_have_so_many_requests_in_work() -> None:
    counted = clients(requests=2)
    with ExitStack() as stack:
        for client in "ab":
            stack.enter_context(counted.in_work(client))
        with (
            pytest.raises(TooManyRequests, match=r"the requests of all clients .* \[2\] requests"),
            counted.in_work("c"),
        ):
            pytest.fail("is in work")


def test_one_client_has_so_many_bytes_in_work_until_the_end_of_their_request() -> None:
    counted = clients(client_bytes=10)
    with counted.in_work("b") as other, counted.in_work("a") as second:
        with counted.in_work("a") as first:
            first.hold(6)
            second.hold(4)
            other.hold(10)
            with pytest.raises(TooManyRequests, match=r"the bodies of one client exceed the limit of \[10\] bytes"):
                second.hold(1)
        second.hold(5)


def test_the_bytes_of_a_request_alone_are_never_too_many() -> None:
    with clients(client_bytes=10).in_work("a") as work:
        work.hold(6)
        work.hold(60)
