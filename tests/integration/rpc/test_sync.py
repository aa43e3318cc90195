"""The client without an event loop."""

import pytest

from sidecar.errors import EmbedderUnavailable
from sidecar.model import Role
from sidecar.rpc import SyncEmbedderClient
from tests.support.built import MINILM


def test_the_client_without_an_event_loop_and_without_a_server() -> None:
    with SyncEmbedderClient("127.0.0.1:1") as client:
        assert not client.healthy()
        with pytest.raises(EmbedderUnavailable):
            client.encode(["a"], Role.QUERY, model=MINILM)
