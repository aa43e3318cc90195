"""Certificates for both doors. Their files are read again when they change."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from sidecar.config import EmbedderSettings
from sidecar.errors import ConfigurationError
from sidecar.watched import Watched, read_bytes


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """The certificates at one moment, in the form of gRPC and in the form of asyncio."""

    grpc: grpc.ServerCertificateConfiguration
    context: ssl.SSLContext


class Certificates:
    """The server's certificate and, with a client CA, the check of every client's certificate. TLS 1.2 or later."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Raises ConfigurationError if the files cannot be read or do not belong together."""
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        files = [certificate, key, *([client_ca] if client_ca else [])]
        self._loaded = Watched(files, self._load)
        self._given_to_grpc: _Loaded | None = None

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Credentials that look for a new certificate before each connection."""
        return grpc.dynamic_ssl_server_credentials(
            self._loaded.current().grpc,
            self._changed,  # type: ignore[arg-type]  # the stubs do not know that None means unchanged
            require_client_authentication=self._client_ca is not None,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """A context that gives each connection the certificate of that moment."""
        door = _context(self._client_ca)
        door.sni_callback = self._hand_on  # called for every connection, even if it names no server
        return door

    def _hand_on(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _door: ssl.SSLContext) -> None:
        connection.context = self._loaded.current().context

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The certificate for the next handshake, for gRPC. None if it has not changed."""
        loaded = self._loaded.current()
        if loaded is self._given_to_grpc:
            return None
        self._given_to_grpc = loaded
        return loaded.grpc

    def _load(self) -> _Loaded:
        chain, key = read_bytes(self._certificate), read_bytes(self._key)
        client_ca = read_bytes(self._client_ca) if self._client_ca else None
        context = _context(self._client_ca)
        try:
            # Without a password OpenSSL would ask for one on the terminal, so it gets an empty one.
            context.load_cert_chain(self._certificate, self._key, password="")
            if client_ca is not None:
                context.load_verify_locations(cadata=client_ca.decode("ascii"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"embedder.tls_certificate: {self._certificate} and its files: {error}") from error
        return _Loaded(grpc.ssl_server_certificate_configuration([(key, chain)], client_ca), context)


def certificates(settings: EmbedderSettings) -> Certificates | None:
    """The certificates in the settings, or None for plain text. Raises ConfigurationError."""
    named = (settings.tls_certificate, settings.tls_key)
    if not any((*named, settings.tls_client_ca)):
        return None
    if not all(named):
        raise ConfigurationError("embedder.tls_certificate and embedder.tls_key must be given together")
    client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
    return Certificates(Path(settings.tls_certificate), Path(settings.tls_key), client_ca)


def _context(client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would not be checked again, even if its authority had been removed.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context
