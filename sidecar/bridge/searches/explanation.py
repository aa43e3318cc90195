"""Writes the header `X-Sidecar-Explain`, which shows the request that was sent to the cluster. Pure."""

from typing import Final

from sidecar.jsontext import Json, Object, dumps

# Clients refuse long headers: aiohttp beyond 8,190 bytes for one, many others beyond 8 KiB for all of them.
_MAX_BYTES: Final = 4_096


def explanation(target: str, body: Object | None) -> str:
    """The request as one line of JSON. Vectors are only counted. A body that is too long for a header is left out."""
    sent: Object = {"target": target, "body": _abridged(body)}
    text = dumps(sent)
    if len(text) > _MAX_BYTES:
        text = dumps({"target": target[: _MAX_BYTES // 2], "body": f"{len(text)} bytes, too long for a header"})
    return text.decode("ascii")


def _abridged(node: Json) -> Json:
    if isinstance(node, dict):
        return {
            key: f"[{len(value)} numbers]" if key == "vector" and isinstance(value, list) else _abridged(value)
            for key, value in node.items()
        }
    return [_abridged(element) for element in node] if isinstance(node, list) else node
