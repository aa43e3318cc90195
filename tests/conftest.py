"""Golden files, and what the processes of one test run share: a folder with the real system (`cluster/conftest.py`)."""

import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from sidecar.files import locked
from tests.support.built import build_w8

RUN_DIRECTORY = "PYTEST_SIDECAR_RUN_DIRECTORY"  # inherited by the workers of pytest-xdist
_STOP_TIMEOUT_S = 40
_GOLDEN = Path(__file__).with_name("golden")

# In the suite always the same inputs, and no clock; `make soak` draws others, and many. `--hypothesis-profile soak`.
settings.register_profile("suite", max_examples=50, derandomize=True, deadline=None)
settings.register_profile("soak", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Compare a JSON value with the file of this name under tests/golden; with --update-golden, write it."""

    def check(name: str, value: object) -> None:
        path = _GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
        assert value == json.loads(path.read_text())

    return check


@pytest.fixture(scope="session")
def w8_models() -> Path:
    """A models.dir of this run in which MiniLM is built for openvino-w8; SIDECAR_MODELS_DIR names it."""
    run = Path(os.environ[RUN_DIRECTORY])
    models = Path(os.environ["SIDECAR_MODELS_DIR"])
    with locked(run / "models.lock"):
        if not models.exists():
            copied = run / "models.new"
            shutil.copytree(build_w8() / "backends", copied / "backends", symlinks=True)
            copied.rename(models)
    return models


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        # Not pytest's own folder for temporary files: that is closed to the user that the node runs as.
        directory = Path(tempfile.mkdtemp(prefix="sidecar-tests-"))
        directory.chmod(0o755)
        (directory / "pytest.pid").write_text(str(os.getpid()))
        os.environ[RUN_DIRECTORY] = str(directory)
        os.environ["SIDECAR_MODELS_DIR"] = str(directory / "models")  # what is built on this machine must not matter


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        directory = Path(os.environ.pop(RUN_DIRECTORY))
        _stop(directory / "system.pid")
        shutil.rmtree(directory)


def _stop(pid_file: Path) -> None:
    if not pid_file.exists():
        return
    try:
        handle = os.pidfd_open(int(pid_file.read_text()))
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        select.select([handle], [], [], _STOP_TIMEOUT_S)
    finally:
        os.close(handle)
