"""The client of the embedding server, as the settings of the bridge describe it."""

from pathlib import Path

from sidecar.config import BridgeSettings
from sidecar.errors import ConfigurationError
from sidecar.rpc.client import EmbedderClient
from sidecar.watched import Watched, read_bytes


def embedder_client(settings: BridgeSettings) -> EmbedderClient:
    """A client with the token and certificates of the settings. Raises ConfigurationError."""
    token_file = _path(settings.embedder_token_file)
    return EmbedderClient(
        settings.embedder,
        token=Watched([token_file], lambda: _token(token_file)).current if token_file else "",
        tls_ca=_path(settings.embedder_tls_ca),
        tls_certificate=_path(settings.embedder_tls_certificate),
        tls_key=_path(settings.embedder_tls_key),
    )


def _path(setting: str) -> Path | None:
    return Path(setting) if setting else None


def _token(file: Path) -> str:
    token = read_bytes(file).strip()
    if not token or not all(0x21 <= byte <= 0x7E for byte in token):
        raise ConfigurationError(f"bridge.embedder_token_file: {file} must hold one token of printable ASCII")
    return token.decode("ascii")
