"""The addresses of the replicas, as the operator writes them. A DNS name may have several replicas."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.config import split_address
from sidecar.errors import ConfigurationError

_DNS: Final = "dns:///"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server to connect to."""

    address: str
    name: str = ""  # the name in its certificate, if the address holds an IP address instead


def parse(addresses: str | Sequence[str]) -> tuple[str, ...]:
    """The addresses of a comma-separated list, or of a sequence, each once. Raises ConfigurationError."""
    named = addresses.split(",") if isinstance(addresses, str) else addresses
    if not isinstance(named, Sequence) or not all(isinstance(address, str) for address in named):
        raise ConfigurationError(f"the address of an embedder must be a string or several, not {addresses!r}")
    found = tuple(dict.fromkeys(address.strip() for address in named))
    try:
        for address in found:
            split_address(address.removeprefix(_DNS))
    except ValueError as error:
        raise ConfigurationError(f"the address of an embedder {error}") from error
    if not found:
        raise ConfigurationError("the address of an embedder must be given")
    return found


def is_name(address: str) -> bool:
    """Whether the address is a DNS name, which may have several servers."""
    return address.startswith(_DNS)


async def resolve(address: str) -> tuple[Endpoint, ...]:
    """The servers at an address: one for each IP address of a DNS name. Raises OSError."""
    if not is_name(address):
        return (Endpoint(address),)
    host, port = split_address(address.removeprefix(_DNS))
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Only the family that this machine prefers: a server with an IPv4 and an IPv6 address is still one server.
    own = [place for family, _, _, _, place in found if family == found[0][0]]
    return tuple(dict.fromkeys(Endpoint(_written(place[0], place[1]), host) for place in own))


def _written(host: str | int, port: object) -> str:
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
