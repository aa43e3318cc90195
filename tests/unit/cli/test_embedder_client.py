"""What is wrong with the settings of the client is told before anything is sent."""

from pathlib import Path

import pytest

from sidecar.cli.embedder_client import embedder_client
from sidecar.config import BridgeSettings
from sidecar.errors import ConfigurationError


@pytest.mark.parametrize("content", [b"", b"two words", "tökén".encode(), b"one\ntwo"])
async def test_a_token_file_holds_one_token_of_printable_ascii(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match="must hold one token of printable ASCII"):
        embedder_client(BridgeSettings(embedder_token_file=str(file)))


async def test_a_token_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token"):
        embedder_client(BridgeSettings(embedder_token_file=str(tmp_path / "token")))
