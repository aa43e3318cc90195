"""Which headers cross the bridge, and what may be appended to a query string. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_plus

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
# What a client may ask of its searches: by parameter or, if it cannot add one, by header.
WISHES: Final = {
    MODE_PARAMETER: MODE,
    WEIGHTS_PARAMETER: "X-Sidecar-Weights",
    K_PARAMETER: "X-Sidecar-K",
    WINDOW_PARAMETER: "X-Sidecar-Window",
    FUSION_PARAMETER: "X-Sidecar-Fusion",
    MODEL_PARAMETER: "X-Sidecar-Model",
}

Headers = list[tuple[str, str]]

# Of one connection only (RFC 9110, 7.6.1), or never to be forwarded: Upgrade would open a tunnel past the bridge.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection", "expect", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
# What one would send to look like somebody else; the security plugin's proxy authentication trusts x-proxy-user.
_FROM_PROXIES: Final = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-by", "x-real-ip"})
_PROXY_IDENTITY: Final = ("x-proxy-",)
_OURS: Final = frozenset(name.lower() for name in (*WISHES.values(), SOURCE, EXPLAIN))
# The security plugin's own header for an administrator who acts for a user: the request has that user's rights.
_IMPERSONATION: Final = "opendistro_security_impersonate_as"
_CREDENTIALS: Final = ("authorization", "cookie", "securitytenant", _IMPERSONATION)
_UNDECODABLE: Final = re.compile("[\udc80-\udcff]")  # what bytes that are not UTF-8 were read as
_END_TO_END: Final = frozenset({"authorization", "cookie", "content-type", "content-encoding", "host"})


# A body that we have read and changed goes on as plain JSON of another length.
CHANGED_BODY: Final = ("content-length", "content-encoding")
# An answer that we take apart must come as plain JSON.
READ_ANSWER: Final = (*CHANGED_BODY, "accept", "accept-encoding")


def check_request(headers: Iterable[tuple[str, str]]) -> None:
    """Refuse what cannot be forwarded truthfully. Raises InvalidInput."""
    for name, value in headers:
        if _UNDECODABLE.search(value):
            raise InvalidInput(f"header {name}", "the value is not valid UTF-8")
        if name.lower() == "transfer-encoding" and value.strip().lower() != "chunked":
            raise InvalidInput("header Transfer-Encoding", "only [chunked] is supported")
    taken = _nominated(headers) & _END_TO_END
    if taken:
        raise InvalidInput("header Connection", f"must not name [{', '.join(sorted(taken))}]")


def to_upstream(headers: Sequence[tuple[str, str]], peer: str | None, without: Iterable[str] = ()) -> Headers:
    """A client's headers as the cluster gets them; `without` names further ones to leave out (lower case)."""
    dropped = _HOP_BY_HOP | _FROM_PROXIES | _OURS | _nominated(headers) | frozenset(without)
    kept = [(name, value) for name, value in headers if _is_safe(name.lower()) and name.lower() not in dropped]
    return [*kept, ("Via", "1.1 sidecar"), *([("X-Forwarded-For", peer)] if peer else [])]


def _is_safe(name: str) -> bool:
    """Whether no server would take a header of this name (lower case) for one that names another client."""
    return name == _IMPERSONATION or ("_" not in name and not name.startswith(_PROXY_IDENTITY))


def to_client(headers: Sequence[tuple[str, str]]) -> Headers:
    """The cluster's headers as the client gets them."""
    dropped = _HOP_BY_HOP | _nominated(headers)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def credentials(headers: Mapping[str, str]) -> dict[str, str]:
    """What tells the cluster who asks; our own calls for a client are made in its name."""
    return {name: headers[name] for name in _CREDENTIALS if name in headers}


def _nominated(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The headers that `Connection` says belong to this connection only."""
    return frozenset(
        token.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for token in value.split(",")
        if token.strip().lower() not in ("close", "keep-alive")
    )


def parameters(raw_query: str) -> dict[str, str]:
    """The decoded parameters of a query string; one without a value is "" (which OpenSearch reads as true)."""
    return dict(parse_qsl(raw_query, keep_blank_values=True))


def without_parameter(raw_query: str, *names: str) -> str:
    """The query string without these parameters; every other byte as it was."""
    return "&".join(part for part in raw_query.split("&") if unquote_plus(part.partition("=")[0]) not in names)


def with_parameters(raw_query: str, added: Mapping[str, object]) -> str:
    """The query string with further parameters at its end."""
    parts = [f"{name}={quote(str(value), safe='')}" for name, value in added.items()]
    return "&".join([*([raw_query] if raw_query else []), *parts])


def with_source_excludes(raw_query: str, fields: Sequence[str]) -> str:
    """The query string with fields added to `_source_excludes`."""
    if not fields:
        return raw_query
    added = ",".join(quote(name, safe="") for name in fields)
    parts = [part for part in raw_query.split("&") if part]
    for position, part in enumerate(parts):
        if part.startswith("_source_excludes="):
            parts[position] = f"{part},{added}" if part != "_source_excludes=" else part + added
            return "&".join(parts)
    return "&".join([*parts, f"_source_excludes={added}"])


def join_target(path: str, raw_query: str) -> str:
    """A request target of its two parts."""
    return f"{path}?{raw_query}" if raw_query else path
