"""Knows which headers and URL parameters of a request say who the client is. Pure.

The cluster decides by them who somebody is and what he may do. So they are forwarded unchanged, the bridge's own
calls for the client carry them too, and whatever the bridge remembers of an answer, it remembers for them only.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sidecar.errors import InvalidInput

# The headers by which the security plugin knows a client. With `opendistro_security_impersonate_as` an administrator
# acts for a user, and the request has that user's rights.
_KNOWN: Final = frozenset(
    {"authorization", "cookie", "opendistro_security_impersonate_as", "security_tenant", "securitytenant"}
)
_COOKIE: Final = "cookie"


@dataclass(frozen=True, slots=True)
class Credentials:
    """All that says who a client is. Calls of ours for the client carry it."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # names in lower case
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)  # of the URL

    def digest(self, key: bytes) -> str:
        """A keyed hash. It distinguishes credentials, and whoever remembers it does not have to store them."""
        said = (*sorted(self.headers.items()), ("", ""), *sorted(self.parameters.items()))
        hashed = hashlib.blake2b(key=key)
        for name, value in said:
            for text in (name, value):
                raw = text.encode("utf-8", "surrogateescape")
                hashed.update(b"%d:%b" % (len(raw), raw))
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class Identity:
    """The names of the headers (lower case) and URL parameters that say who a client is."""

    headers: frozenset[str] = _KNOWN
    parameters: frozenset[str] = frozenset()

    @classmethod
    def of(cls, headers: Collection[str], parameters: Collection[str]) -> "Identity":
        """The known names and those of the settings."""
        return cls(_KNOWN | {name.lower() for name in headers}, frozenset(parameters))

    def credentials(self, headers: Iterable[tuple[str, str]], parameters: Mapping[str, str]) -> Credentials:
        """The credentials of a request.

        Raises InvalidInput if a header says it twice, because the cluster and the bridge could choose different ones.
        Cookies may come in several headers.
        """
        found: dict[str, str] = {}
        for written, value in headers:
            name = written.lower()
            if name not in self.headers:
                continue
            if name in found and name != _COOKIE:
                raise InvalidInput(f"header {written}", "must not be given more than once")
            found[name] = f"{found[name]}; {value}" if name in found else value
        return Credentials(found, {name: parameters[name] for name in parameters if name in self.parameters})

    def without(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a URL that do not say who the client is."""
        return {name: value for name, value in parameters.items() if name not in self.parameters}
