"""Connections to one server, and their certificates."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2_grpc

from sidecar.contract import embedding_pb2_grpc
from sidecar.errors import ConfigurationError
from sidecar.rpc import forks
from sidecar.rpc.addresses import Endpoint
from sidecar.watched import Watched, read_bytes

ChannelCredentials: TypeAlias = grpc.ChannelCredentials | None  # None means plain text


@dataclass(frozen=True, slots=True)
class Connector:
    """Makes connections, with the credentials of the moment."""

    credentials: Callable[[], ChannelCredentials]
    max_message_bytes: int

    def connect(self, target: Endpoint) -> "Connection":
        """A connection, which its first call opens."""
        return Connection(target, self.credentials(), self.max_message_bytes)


@dataclass(frozen=True, slots=True)
class _Open:
    channel: grpc.aio.Channel
    embedder: embedding_pb2_grpc.EmbedderStub
    models: embedding_pb2_grpc.ModelsStub
    health: health_pb2_grpc.HealthStub


class Connection:
    """A channel with its stubs, and the number of its users. A user opens it if it is not open."""

    def __init__(self, target: Endpoint, credentials: ChannelCredentials, max_message_bytes: int) -> None:
        self.credentials = credentials
        self.users = 0
        self._address = target.address
        self._options = _options(target, max_message_bytes)
        self._open: _Open | None = None
        forks.watch(self)

    @property
    def embedder(self) -> embedding_pb2_grpc.EmbedderStub:
        """For a user."""
        return self._opened().embedder

    @property
    def models(self) -> embedding_pb2_grpc.ModelsStub:
        """For a user."""
        return self._opened().models

    @property
    def health(self) -> health_pb2_grpc.HealthStub:
        """For a user."""
        return self._opened().health

    def take(self) -> None:
        """Become a user, until `users` is reduced again. Raises Conflict where gRPC is of no use."""
        with forks.still:
            forks.check()
            self.users += 1

    def rest(self) -> None:
        """Close the channel if nobody uses it. A channel without references closes itself, in any thread."""
        if self.users == 0:
            self._open = None

    async def close(self) -> None:
        """End the calls in work."""
        opened, self._open = self._open, None
        if opened is not None:
            await opened.channel.close(grace=None)

    def _opened(self) -> _Open:
        if self._open is None:
            channel = (
                grpc.aio.insecure_channel(self._address, options=self._options)
                if self.credentials is None
                else grpc.aio.secure_channel(self._address, self.credentials, options=self._options)
            )
            self._open = _Open(
                channel,
                embedding_pb2_grpc.EmbedderStub(channel),
                embedding_pb2_grpc.ModelsStub(channel),
                health_pb2_grpc.HealthStub(channel),
            )
        return self._open


def watched_credentials(
    ca: Path | None, certificate: Path | None, key: Path | None
) -> Callable[[], ChannelCredentials]:
    """A function that returns the credentials in these files. It returns the same object until they change.

    Raises ConfigurationError if files are missing or do not belong together.
    """
    if (certificate is None) != (key is None):
        raise ConfigurationError("a client certificate and its key must be given together")
    if ca is None:
        if certificate is not None:
            raise ConfigurationError("a client certificate needs the authorities of the server's certificate as well")
        return lambda: None
    files = [file for file in (ca, certificate, key) if file is not None]
    return Watched(files, partial(_credentials, ca, certificate, key)).current


def _credentials(ca: Path, certificate: Path | None, key: Path | None) -> grpc.ChannelCredentials:
    read = [read_bytes(file) if file else None for file in (ca, key, certificate)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:  # gRPC itself would complain only when it connects
        context.load_verify_locations(ca)
        if certificate is not None:
            # Without a password OpenSSL would ask for one on the terminal, so it gets an empty one.
            context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        files = ", ".join(str(file) for file in (ca, certificate, key) if file is not None)
        raise ConfigurationError(f"{files}: {error}") from error
    return grpc.ssl_channel_credentials(*read)


def _options(target: Endpoint, max_message_bytes: int) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        # A call on a broken channel fails at once. These say how soon the channel finds a server that is back.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        ("grpc.min_reconnect_backoff_ms", 2_000),  # actually the time that one attempt to connect may take
        ("grpc.enable_http_proxy", 0),  # a proxy for the outer world must not see the texts
    ]
    if target.name:  # we have resolved the name ourselves, but the certificate is for the name
        options.append(("grpc.ssl_target_name_override", target.name))
    return options
