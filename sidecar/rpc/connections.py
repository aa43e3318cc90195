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


class Connection:
    """A channel with its stubs, and the number of its users."""

    def __init__(self, target: Endpoint, credentials: ChannelCredentials, max_message_bytes: int) -> None:
        options = _options(target, max_message_bytes)
        self.credentials = credentials
        self.users = 0
        self.channel = (
            grpc.aio.insecure_channel(target.address, options=options)
            if credentials is None
            else grpc.aio.secure_channel(target.address, credentials, options=options)
        )
        self.embedder = embedding_pb2_grpc.EmbedderStub(self.channel)
        self.models = embedding_pb2_grpc.ModelsStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)


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
