"""Certificates of the client."""

from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError
from sidecar.rpc import EmbedderClient


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"tls_ca": Path("gone.pem")}, "gone.pem: No such file", id="no file"),
        pytest.param({"tls_certificate": Path("a"), "tls_key": Path("b")}, "needs the authorities", id="no CA"),
        pytest.param({"tls_certificate": Path("a")}, "must be given together", id="no key"),
    ],
)
async def test_files_that_a_client_cannot_use(options: dict[str, Path], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        async with EmbedderClient("127.0.0.1:1", **options):
            pass
