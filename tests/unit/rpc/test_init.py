"""The clients are imported when somebody asks for one: the server imports the package, too, and needs neither."""

import subprocess
import sys

import pytest

import sidecar.rpc


def test_the_clients_are_there() -> None:
    assert sidecar.rpc.EmbedderClient.__name__ == "EmbedderClient"
    assert sidecar.rpc.SyncEmbedderClient.__name__ == "SyncEmbedderClient"


def test_the_package_alone_imports_neither() -> None:
    code = "import sys, sidecar.rpc; print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Client'"):
        sidecar.rpc.Client  # noqa: B018
