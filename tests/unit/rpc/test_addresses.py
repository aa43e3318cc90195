import socket
from typing import Any

import pytest

from sidecar.errors import ConfigurationError
from sidecar.rpc.addresses import Endpoint, parse, resolve


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        pytest.param("a:1", ("a:1",), id="one"),
        pytest.param("a:1, b:2,a:1", ("a:1", "b:2"), id="several, each once"),
        pytest.param(["a:1", "[::1]:2"], ("a:1", "[::1]:2"), id="a sequence"),
        pytest.param("dns:///a:1", ("dns:///a:1",), id="a name"),
    ],
)
def test_how_addresses_are_written(written: str | list[str], parsed: tuple[str, ...]) -> None:
    assert parse(written) == parsed


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        pytest.param("", r"must be HOST:PORT, not \[\]", id="nothing"),
        pytest.param("a:1,b", r"must be HOST:PORT, not \[b\]", id="no port"),
        pytest.param("dns:///a", r"must be HOST:PORT, not \[a\]", id="a name without a port"),
        pytest.param([], "must be given", id="none"),
    ],
)
def test_what_is_no_address(written: str | list[str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        parse(written)


@pytest.mark.parametrize(
    ("places", "targets"),
    [
        pytest.param(
            [(socket.AF_INET, "10.0.0.1"), (socket.AF_INET, "10.0.0.2"), (socket.AF_INET, "10.0.0.1")],
            ("10.0.0.1:9", "10.0.0.2:9"),
            id="each server once",
        ),
        pytest.param(
            [(socket.AF_INET6, "fd00::1"), (socket.AF_INET, "10.0.0.1")], ("[fd00::1]:9",), id="one family only"
        ),
    ],
)
async def test_a_name_stands_for_the_servers_behind_it(
    places: list[tuple[Any, str]], targets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(family, socket.SOCK_STREAM, 6, "", (host, 9)) for family, host in places]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    assert await resolve("dns:///embedder:9") == tuple(Endpoint(target, "embedder") for target in targets)
    assert await resolve("embedder:9") == (Endpoint("embedder:9"),)  # gRPC looks it up
