"""Says who a client is, and bounds what each client and all of them have in work. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from sidecar.errors import ErrorKind, SidecarError
from sidecar.places import plain_address

Networks = tuple[IPv4Network | IPv6Network, ...]

_SOMEBODY: Final = "?"  # a peer without an address


@dataclass(eq=False)
class TooManyRequests(SidecarError):
    """A client, or all clients together, have too much in work."""

    whose: str
    limit: int
    unit: str
    setting: str
    kind = ErrorKind.OVERLOADED

    def __str__(self) -> str:
        return f"{self.whose} exceed the limit of [{self.limit}] {self.unit} ({self.setting})"


class Work:
    """A request in work."""

    def __init__(self, bytes_of: Counter[str], client: str, limit: int) -> None:
        self._bytes_of = bytes_of
        self._client = client
        self._limit = limit
        self._held = 0

    def hold(self, count: int) -> None:
        """Count bytes of the body until the end of the request.

        Raises TooManyRequests if the client has too many in work. A request alone is never refused.
        """
        self._held += count
        self._bytes_of[self._client] += count
        held = self._bytes_of[self._client]
        if held > self._limit and held > self._held:
            raise TooManyRequests("the bodies of one client", self._limit, "bytes", "bridge.max_client_bytes")

    def end(self) -> None:
        """Count these bytes no more."""
        self._bytes_of.subtract({self._client: self._held})
        if not self._bytes_of[self._client]:
            del self._bytes_of[self._client]


class Clients:
    """The clients of the bridge. A trusted proxy says in `X-Forwarded-For` for whom it speaks."""

    def __init__(
        self, proxies: Networks, *, max_requests: int, max_client_requests: int, max_client_bytes: int
    ) -> None:
        self._proxies = proxies
        self._max_requests = max_requests
        self._max_client_requests = max_client_requests
        self._max_client_bytes = max_client_bytes
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._total = 0

    def is_proxy(self, peer: str | None) -> bool:
        """Whether this address is one of a trusted proxy."""
        try:
            address = ip_address(plain_address(peer or ""))
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def client(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """The address of the client: the last one that no trusted proxy has."""
        hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
        found = peer
        while hops and self.is_proxy(found):
            found = hops.pop()
        return found or _SOMEBODY

    @contextmanager
    def in_work(self, client: str) -> Iterator[Work]:
        """Count a request of a client until the context ends. Raises TooManyRequests."""
        if self._total >= self._max_requests:
            raise TooManyRequests("the requests of all clients", self._max_requests, "requests", "bridge.max_requests")
        if self._requests[client] >= self._max_client_requests:
            limit = self._max_client_requests
            raise TooManyRequests("the requests of one client", limit, "requests", "bridge.max_client_requests")
        self._total += 1
        self._requests[client] += 1
        work = Work(self._bytes, client, self._max_client_bytes)
        try:
            yield work
        finally:
            work.end()
            self._total -= 1
            self._requests[client] -= 1
            if not self._requests[client]:
                del self._requests[client]
