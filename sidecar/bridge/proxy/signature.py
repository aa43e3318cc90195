"""Finds requests that are signed for AWS (Signature Version 4), and refuses those that the bridge would change. Pure.

The signature covers the method, the path, the query, `Host`, further headers and the body. The bridge has no key to
sign a changed request again, and the cluster would refuse it without a word about the bridge.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.errors import ErrorKind, SidecarError

_SCHEME: Final = re.compile(r"\s*AWS4-", re.IGNORECASE)  # also AWS4-ECDSA-P256-SHA256
_SIGNED_HEADERS: Final = re.compile(r"SignedHeaders=([^,\s]*)")
_ADVICE: Final = "send it to the cluster itself, or use credentials that are no signature"


@dataclass(eq=False)
class SignedRequest(SidecarError):
    """The request is signed (AWS Signature Version 4), and the bridge would have to change it."""

    change: str
    kind = ErrorKind.BAD_INPUT

    def __str__(self) -> str:
        return f"the signature of this request would not be valid any more, because the bridge {self.change}: {_ADVICE}"


def check_signature(signed: frozenset[str], forwarded: Iterable[str], *, is_rewritten: bool) -> None:
    """Check that a signature of these headers stays valid. Raises SignedRequest.

    `forwarded` are the names of the headers that reach the cluster as the client sent them. Names are in lower case.
    """
    if is_rewritten:
        raise SignedRequest("rewrites requests of this kind")
    changed = signed.difference(forwarded)
    if changed:
        raise SignedRequest(f"does not forward the signed header [{', '.join(sorted(changed))}] as it came")


def signed_headers(headers: Iterable[tuple[str, str]], parameters: Mapping[str, str]) -> frozenset[str] | None:
    """The names (lower case) of the headers that the signature covers. None if there is no signature."""
    if "X-Amz-Signature" in parameters:
        return _names(parameters.get("X-Amz-SignedHeaders", ""))
    for name, value in headers:
        if name.lower() == "authorization" and _SCHEME.match(value):
            found = _SIGNED_HEADERS.search(value)
            return _names(found[1] if found else "")
    return None


def _names(listed: str) -> frozenset[str]:
    return frozenset(name.lower() for name in listed.split(";") if name)
