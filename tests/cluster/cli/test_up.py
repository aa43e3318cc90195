"""`sidecar up` as a process: ready line, addresses, clean end, clear refusals."""

import ipaddress
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SIDECAR = Path(sys.executable).with_name("sidecar")
_LISTEN = "0A"  # the state of a socket, as /proc/net/tcp writes it


@pytest.fixture
def anywhere(tmp_path: Path) -> dict[str, str]:
    """An environment in which every part takes any free port."""
    ports = {f"SIDECAR_{name}": "127.0.0.1:0" for name in (
        "BRIDGE_LISTEN", "BRIDGE_ADMIN_LISTEN", "EMBEDDER_LISTEN", "EMBEDDER_HTTP_LISTEN",
    )}  # fmt: skip
    return {**os.environ, **ports, "SIDECAR_BRIDGE_SEARCH_EMBED_TIMEOUT_S": "30"}


@pytest.fixture
def up(anywhere: dict[str, str], system: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [SIDECAR, "up", "--upstream", system["cluster"], "--json"],
        env=anywhere, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        yield process
        process.kill()


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def answers(url: str) -> bool:
    host, port = url.rpartition("/")[2].split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_says_where_everything_is_and_ends_cleanly(up: subprocess.Popen[str], number: signal.Signals) -> None:
    assert up.stdout is not None
    ready = json.loads(up.stdout.readline())
    parts = children(up.pid)

    assert ready.keys() == {"cluster", "bridge", "embedder", "bridge_admin", "embedder_http"}
    assert all(answers(ready[name]) for name in ready)
    assert len(parts) == 2
    assert {os.getpgid(part) for part in parts} == {os.getpgid(up.pid)}

    up.send_signal(number)
    assert up.wait(timeout=120) == 0
    assert not any(answers(ready[name]) for name in ("bridge", "embedder", "bridge_admin", "embedder_http"))


def test_nothing_outlives_a_killed_parent(up: subprocess.Popen[str]) -> None:
    assert up.stdout is not None
    up.stdout.readline()
    handles = [os.pidfd_open(part) for part in children(up.pid)]

    up.kill()

    poll = select.poll()
    for handle in handles:
        poll.register(handle)
        assert poll.poll(60_000)
        poll.unregister(handle)
        os.close(handle)


def test_when_a_part_ends_the_rest_is_stopped_and_the_exit_code_says_so(up: subprocess.Popen[str]) -> None:
    assert up.stdout is not None
    up.stdout.readline()
    victim = min(children(up.pid))

    os.kill(victim, signal.SIGKILL)
    _, log = up.communicate(timeout=120)

    assert up.returncode == 1
    assert "sidecar: the embedder ended with exit code -9; the rest was stopped" in log


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SIDECAR, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(("up", "--listen", "{taken}"), "sidecar: bridge.listen (flag): port", id="up, taken port"),
        pytest.param(("bridge", "--listen", "{taken}"), "sidecar: bridge.listen: cannot listen on {taken}: address already in use",
                     id="bridge, taken port"),
        pytest.param(("embedder", "--listen", "{taken}"), "cannot listen on {taken}", id="embedder, taken port"),
        pytest.param(("up", "--model", "nothing@1"), "model [nothing@1] is not known here", id="unknown model"),
        pytest.param(("bridge", "--upstream", "ftp://x"), "sidecar: bridge.upstream (flag): Value error, must be an http",
                     id="not a URL"),
        pytest.param(("bridge", "--config", "/nowhere.toml"), "sidecar: configuration file /nowhere.toml: there is no such file",
                     id="no such file"),
        pytest.param(("template", "apply", "p", "--model", "nothing@1", "--index-pattern", "p*", "--source", "title"),
                     "model [nothing@1] is not known here", id="template, unknown model"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_exit_code_2(taken: str, arguments: tuple[str, ...], sentence: str) -> None:
    done = run(
        *(argument.format(taken=taken) for argument in arguments),
        SIDECAR_BRIDGE_ADMIN_LISTEN="127.0.0.1:0", SIDECAR_EMBEDDER_HTTP_LISTEN="127.0.0.1:0",
    )  # fmt: skip

    assert done.returncode == 2
    assert sentence.format(taken=taken).lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_no_java_is_one_sentence(tmp_path: Path) -> None:
    done = run(
        "up", PATH="/nowhere", JAVA_HOME=str(tmp_path), SIDECAR_NODE_DIR=str(tmp_path / "node"),
        SIDECAR_BRIDGE_LISTEN="127.0.0.1:0",
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.count("sidecar:") == 1
    assert "Traceback" not in done.stderr


def listening(port: int) -> set[str]:
    """The addresses on which somebody listens at a port, as the kernel has them."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, its_port = local.partition(":")
            if state == _LISTEN and int(its_port, 16) == port:
                words = (int(address[start : start + 8], 16) for start in range(0, len(address), 8))
                packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
                host = ipaddress.ip_address(packed)
                found.add(str(getattr(host, "ipv4_mapped", None) or host))
    return found


def test_every_part_is_reached_from_this_machine_only(system: dict[str, str]) -> None:
    """They ask for no token and have no TLS."""
    assert len(system) == 5
    for address in system.values():
        assert listening(int(address.rpartition(":")[2])) == {"127.0.0.1"}
