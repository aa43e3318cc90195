"""A local OpenSearch node for development and tests: one process with a folder of its own.

It ends with its parent, or is detached.
"""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sidecar.config import NodeSettings
from sidecar.errors import ConfigurationError
from sidecar.opensearch.assembly import PLUGINS, SECURITY, assemble
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.opensearch.instance import Instance, NodeFailed, Security, failure_reason
from sidecar.opensearch.java import find_java

_HOST: Final = "127.0.0.1"
_READY_TIMEOUT_S: Final = 120.0
_READY_CHECK_S: Final = 0.1
_STOP_TIMEOUT_S: Final = 20.0

# OpenSearch refuses to run as root.
_UNPRIVILEGED_USER: Final = "nobody"


@dataclass(slots=True)
class LocalNode:
    """A running node, which another process may have started."""

    url: str
    pid: int
    _exit_status: int | None = field(default=None, init=False, repr=False)

    async def stop(self) -> None:
        """End the node and wait for it: SIGTERM first, SIGKILL if that takes too long."""
        if self._exit_status is not None:
            return
        try:
            os.kill(self.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await self.exited()
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                await self.exited()
        except ProcessLookupError:
            return

    async def exited(self) -> int:
        """Wait until the process ends. Its exit code, or minus the signal; 0 if only its parent can know it."""
        if self._exit_status is None:
            await process_ended(self.pid)
        if self._exit_status is None:  # another waiter may have been first
            try:
                _, status = os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it has ended: this does not wait
                self._exit_status = os.waitstatus_to_exitcode(status)
            except ChildProcessError:
                self._exit_status = 0
        return self._exit_status


async def process_ended(pid: int) -> None:
    """Wait until a process has ended, whoever its parent is."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def start_node(
    settings: NodeSettings,
    *,
    port: int,
    data: Path,
    plugins: Collection[str] = PLUGINS,
    security: Security | None = None,
    detached: bool = False,
    report: Callable[[str], None],
) -> LocalNode:
    """Start a node with its files under `data` and wait until it answers. `security` needs its plugin.

    It listens on `port`, or on a free port if that is taken or 0. It ends when the process that started it does, unless
    it is `detached`. Raises ConfigurationError if the machine cannot run it, NodeFailed if it does not come up.
    """
    home = await asyncio.to_thread(assemble, settings.dir, plugins=plugins, report=report)
    java = await asyncio.to_thread(find_java)
    instance = Instance(data, security)
    _prepare(instance, home, _free_or_any(port))
    command = [*_as_whom(detached=detached), str(java.executable), *instance.arguments(home, settings)]
    report("the local OpenSearch node starts")
    started = time.monotonic()
    node = LocalNode("", _spawn(command, instance.log))
    try:
        await _become_ready(node, instance)
    except BaseException:  # also when cancelled: no node is left that nobody knows
        await node.stop()
        raise
    report(f"the local OpenSearch node answers at {node.url} after {time.monotonic() - started:.1f} s")
    return node


def _prepare(instance: Instance, home: Path, port: int) -> None:
    """Write the configuration and give the folders to the node's user."""
    for path in instance.folders:
        path.mkdir(parents=True, exist_ok=True)
    instance.ports_file.unlink(missing_ok=True)
    for name, text in instance.configuration(port).items():
        (instance.conf / name).write_text(text)
    if instance.security is not None:
        for name, source in instance.security.files.items():
            shutil.copyfile(source, instance.conf / name)
        shutil.copytree(home / "plugins" / SECURITY / "config", instance.conf / SECURITY, dirs_exist_ok=True)
    if os.geteuid() != 0:
        return
    closed = [path for path in instance.directory.resolve().parents if not path.stat().st_mode & 0o001]
    if closed:
        raise ConfigurationError(
            f"the local OpenSearch node runs as user {_UNPRIVILEGED_USER}, who may not enter {closed[-1]}; "
            "use a folder that every user can reach"
        )
    instance.directory.chmod(0o755)
    for path in (*instance.folders, *instance.conf.rglob("*")):
        shutil.chown(path, user=_UNPRIVILEGED_USER)


def _free_or_any(port: int) -> int:
    """The port if nobody listens there, else 0. The node then takes a free one itself and writes it down."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return 0
    return port


def _as_whom(*, detached: bool) -> list[str]:
    """The command in front of Java's. It chooses another user than root, and ends the node with its parent."""
    setpriv = shutil.which("setpriv")
    options = [] if detached else ["--pdeathsig", "TERM"]
    if os.geteuid() == 0:
        if setpriv is None:
            raise ConfigurationError(
                "OpenSearch does not run as root, and there is no setpriv to start it as another user; "
                "install it (Debian: apt-get install util-linux) or run this command as a normal user"
            )
        user = pwd.getpwnam(_UNPRIVILEGED_USER)
        options += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [setpriv, *options] if setpriv is not None and options else []


def _spawn(command: list[str], log: Path) -> int:
    """Start a process in a session of its own, so that Ctrl-C reaches only its parent, who stops it in order.

    It is not started with asyncio, which kills its subprocesses with the event loop, and a detached node must outlive
    that. The node gets no environment of ours, because its user could read our secrets there.
    """
    output = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), output, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    return os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)


async def _become_ready(node: LocalNode, instance: Instance) -> None:
    """Wait until the node answers and its cluster has formed. `node.url` is known from then on."""
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while (address := instance.bound_address()) is None:
                if _is_over(node.pid):
                    raise NodeFailed(failure_reason(instance.log.read_text(errors="replace")), str(instance.log))
                await asyncio.sleep(_READY_CHECK_S)  # the node offers no event to wait for
            async with _administrator(address, instance.security) as cluster:
                node.url = cluster.url
                # 503 until a secured node has its users.
                while (greeting := await cluster.call("GET", "/")).status == 503:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(_READY_CHECK_S)
                if not greeting.ok:
                    raise NodeFailed(f"GET / is answered with {greeting.status}: {greeting.reason}", str(instance.log))
                await cluster.call("GET", "/_cluster/health", params={"wait_for_status": "yellow"})
    except TimeoutError:
        raise NodeFailed(f"it did not answer within {_READY_TIMEOUT_S:g} s", str(instance.log)) from None


def _administrator(address: str, security: Security | None) -> OpenSearchCluster:
    """A client of the node, as its administrator."""
    if security is None:
        return OpenSearchCluster(f"http://{address}")
    return OpenSearchCluster(
        f"https://{address}", user=security.user, password=security.password, tls_ca=str(security.authority)
    )


def _is_over(child: int) -> bool:
    """Whether the process has ended. Its status is left for `LocalNode.exited`."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
