"""Decides which headers cross the bridge. Pure."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sidecar.errors import InvalidInput

MODE: Final = "X-Sidecar-Mode"
SOURCE: Final = "X-Sidecar-Source"
SEARCH: Final = "X-Sidecar-Search"
INGEST: Final = "X-Sidecar-Ingest"
EXPLAIN: Final = "X-Sidecar-Explain"
MODE_PARAMETER: Final = "sidecar"
WEIGHTS_PARAMETER: Final = "sidecar_weights"
K_PARAMETER: Final = "sidecar_k"
WINDOW_PARAMETER: Final = "sidecar_window"
FUSION_PARAMETER: Final = "sidecar_fusion"
MODEL_PARAMETER: Final = "sidecar_model"
# A client sets an option of its searches by parameter, or by header if it cannot add a parameter.
SEARCH_OPTIONS: Final = {
    MODE_PARAMETER: MODE,
    WEIGHTS_PARAMETER: "X-Sidecar-Weights",
    K_PARAMETER: "X-Sidecar-K",
    WINDOW_PARAMETER: "X-Sidecar-Window",
    FUSION_PARAMETER: "X-Sidecar-Fusion",
    MODEL_PARAMETER: "X-Sidecar-Model",
}

Headers = list[tuple[str, str]]

# These belong to one connection (RFC 9110, 7.6.1) or must never be forwarded: Upgrade would open a tunnel past the
# bridge.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection", "expect", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
# With these a client could pretend to be another one, or to have come to another address. Only a trusted proxy may send
# them. The proxy authentication of the security plugin trusts x-proxy-user.
_FROM_PROXIES: Final = frozenset(
    {"forwarded", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "x-original-forwarded-for", "x-real-ip"}
)
_FORWARDED: Final = "x-forwarded-"
FORWARDED_FOR: Final = "X-Forwarded-For"
_PROXY_IDENTITY: Final = ("x-proxy-",)
_OURS: Final = frozenset(name.lower() for name in (*SEARCH_OPTIONS.values(), SOURCE, EXPLAIN))
ADDED: Final = frozenset({"via", "x-forwarded-for"})  # ours stand beside those of the client, or in their place
_UNDECODABLE: Final = re.compile("[\udc80-\udcff]")  # `IncomingRequest` decodes bytes that are not UTF-8 to these
_END_TO_END: Final = frozenset({"content-type", "content-encoding", "content-length", "host"})


# Headers to leave out if the bridge changes the body. The changed body is plain JSON of another length.
CHANGED_BODY: Final = ("content-length", "content-encoding")
# Headers to leave out if the bridge reads the answer. It can only read plain JSON.
READ_ANSWER: Final = (*CHANGED_BODY, "accept", "accept-encoding")


def check_request(headers: Iterable[tuple[str, str]], identity: Collection[str] = ()) -> None:
    """Check the headers of a request. Raises InvalidInput for headers that cannot be forwarded faithfully.

    `identity` has the names (lower case) of those that say who the client is.
    """
    for name, value in headers:
        if _UNDECODABLE.search(value):
            raise InvalidInput(f"header {name}", "the value is not valid UTF-8")
        if name.lower() == "transfer-encoding" and value.strip().lower() != "chunked":
            raise InvalidInput("header Transfer-Encoding", "only [chunked] is supported")
        resembled = name.lower().replace("_", "-")
        if resembled != name.lower() and (
            _is_claim(resembled, is_proxied=False) or resembled in _HOP_BY_HOP | _END_TO_END
        ):
            raise InvalidInput(f"header {name}", f"must not be written with [_], some servers read it as [{resembled}]")
    taken = _nominated(headers) & (_END_TO_END | frozenset(identity))
    if taken:
        raise InvalidInput("header Connection", f"must not name [{', '.join(sorted(taken))}]")


def to_upstream(
    headers: Sequence[tuple[str, str]], peer: str | None, without: Iterable[str] = (), *, is_proxied: bool = False
) -> Headers:
    """The headers of a client's request for the cluster. `without` names further ones to leave out (lower case).

    `is_proxied`: the peer is a trusted proxy, so its words about the client are kept.
    """
    dropped = _HOP_BY_HOP | _OURS | _nominated(headers) | frozenset(without) | {FORWARDED_FOR.lower()}
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in dropped and not _is_claim(name.lower(), is_proxied=is_proxied)
    ]
    hops = [value for name, value in headers if name.lower() == FORWARDED_FOR.lower()] if is_proxied else []
    hops += [peer] if peer else []
    return [*kept, ("Via", "1.1 sidecar"), *([(FORWARDED_FOR, ", ".join(hops))] if hops else [])]


def _is_claim(name: str, *, is_proxied: bool) -> bool:
    """Whether a server would believe a header of this name (lower case) who or where the client is."""
    says_where = name in _FROM_PROXIES or name.startswith(_FORWARDED)
    return name.startswith(_PROXY_IDENTITY) or (says_where and not is_proxied)


def to_client(headers: Sequence[tuple[str, str]]) -> Headers:
    """The headers of the cluster's answer for the client."""
    dropped = _HOP_BY_HOP | _nominated(headers)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def accepts_gzip(encodings: str) -> bool:
    """Whether the cluster would compress an answer to a request with this `Accept-Encoding`."""
    for one in encodings.split(","):
        name, _, options = one.partition(";")
        weight = options.strip().removeprefix("q=").strip()
        if "gzip" in name and not (weight and not weight.strip("0.")):  # so netty looks for it
            return True
    return False


def _nominated(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The headers that `Connection` names. They belong to this connection only."""
    return frozenset(
        token.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for token in value.split(",")
        if token.strip().lower() not in ("close", "keep-alive")
    )
