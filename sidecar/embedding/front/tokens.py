"""Bearer tokens for gRPC and HTTP, compared in constant time. No token is ever logged."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import grpc

from sidecar.errors import ConfigurationError
from sidecar.watched import Watched, read_bytes

REFUSAL: Final = "a valid bearer token is required"

_OPEN_SERVICE: Final = "/grpc.health.v1.Health/"  # an orchestrator asks without a token, as it does for /readyz


def parse_tokens(content: bytes) -> tuple[bytes, ...]:
    """The SHA-256 of each token. A line holds one token or a comment that begins with `#`.

    Spaces around a token do not count. Raises ConfigurationError with the number of a line that cannot be sent as a
    bearer token.
    """
    digests = []
    for number, line in enumerate(content.splitlines(), start=1):
        token = line.strip()
        if not token or token.startswith(b"#"):
            continue
        if not all(0x21 <= byte <= 0x7E for byte in token):
            raise ConfigurationError(f"line {number}: a token is printable ASCII without spaces")
        digests.append(hashlib.sha256(token).digest())
    return tuple(digests)


class Gate:
    """Lets a caller in that shows one of the tokens in a file."""

    def __init__(self, tokens_file: Path) -> None:
        """Raises ConfigurationError if the file cannot be read or holds no token."""
        self._digests = Watched([tokens_file], lambda: _read(tokens_file))
        if not self._digests.current():
            raise ConfigurationError(f"embedder.tokens_file: {tokens_file} holds no token")

    def lets_in(self, authorization: str) -> bool:
        """Whether the value of an authorization header holds a token of ours.

        All digests are compared, and they are equally long, so the time says nothing about a token.
        """
        scheme, _, token = authorization.partition(" ")
        shown = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        matches = [hmac.compare_digest(shown, digest) for digest in self._digests.current()]
        return scheme.lower() == "bearer" and any(matches)


def _read(tokens_file: Path) -> tuple[bytes, ...]:
    try:
        return parse_tokens(read_bytes(tokens_file))
    except ConfigurationError as error:
        raise ConfigurationError(f"embedder.tokens_file: {tokens_file}: {error}") from error


class GateInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic only in its stubs
    """Answers UNAUTHENTICATED to calls without a token, before their first message is read."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        if handler_call_details.method.startswith(_OPEN_SERVICE):
            return await continuation(handler_call_details)
        shown = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
        if isinstance(shown, str) and self._gate.lets_in(shown):
            return await continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


async def _refuse(_requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSAL)
