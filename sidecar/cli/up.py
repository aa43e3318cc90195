"""`sidecar up`: node, embedder and bridge in one foreground process group. The demo runs on it too."""

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar, TypeVarTuple

import typer

from sidecar.cli.foreground import child, run_until_signal
from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.cli.steps import steps
from sidecar.config import Configuration, split_address, variable
from sidecar.errors import ConfigurationError, ErrorKind, SidecarError
from sidecar.opensearch.local import start_node
from sidecar.output import say

StepReport: TypeAlias = Callable[[str], None]

T = TypeVar("T")
PlaceTypes = TypeVarTuple("PlaceTypes")


@dataclass(frozen=True, slots=True)
class SystemAddresses:
    """The addresses of the parts: URLs, and `host:port` for the embedder's gRPC."""

    cluster: str
    bridge: str
    embedder: str
    bridge_admin: str
    embedder_http: str


@dataclass(eq=False)
class PartEnded(SidecarError):
    """A part of the system ended although nobody asked it to."""

    name: str
    exit_code: int
    kind = ErrorKind.UNAVAILABLE

    def __str__(self) -> str:
        return f"the {self.name} ended with exit code {self.exit_code}; the rest was stopped"


@dataclass(frozen=True, slots=True)
class System:
    """The running parts."""

    addresses: SystemAddresses
    ends: Mapping[str, Callable[[], Coroutine[Any, Any, int]]]  # part -> wait until it ends

    async def wait(self) -> None:
        """Wait for ever. Raises PartEnded if a part ends."""

        async def watch(name: str) -> None:
            raise PartEnded(name, await self.ends[name]())

        try:
            async with asyncio.TaskGroup() as tasks:
                for name in self.ends:
                    tasks.create_task(watch(name), name=f"watch {name}")
        except* PartEnded as group:
            raise group.exceptions[0] from None


@asynccontextmanager
async def running_system(
    configuration: Configuration,
    *,
    upstream: str | None,
    data: Path | None = None,
    config_file: Path | None = None,
    report: StepReport,
) -> AsyncIterator[System]:
    """Start everything, and stop everything when the context ends, in reverse order.

    Raises ConfigurationError if an address that was asked for is taken, NotReady or NodeFailed if a part fails.
    """
    config = ["--config", str(config_file)] if config_file else []
    settings = configuration.settings
    models = [argument for name in settings.embedder.model for argument in ("--model", name)]

    def node_places() -> tuple[int]:
        return (_port(configuration, "node.http_port", settings.node.http_port),)

    def embedder_places() -> tuple[str, str]:
        return (
            _address(configuration, "embedder.listen", settings.embedder.listen),
            _address(configuration, "embedder.http_listen", settings.embedder.http_listen),
        )

    def bridge_places() -> tuple[str, str]:
        return (
            _address(configuration, "bridge.listen", settings.bridge.listen),
            _address(configuration, "bridge.admin_listen", settings.bridge.admin_listen),
        )

    # Before anything starts, so that an address that is taken does not cost the time of loading a model.
    for places in (node_places, embedder_places, bridge_places)[upstream is not None :]:
        places()

    async with AsyncExitStack() as stack:
        ends: dict[str, Callable[[], Coroutine[Any, Any, int]]] = {}

        async def start_cluster(port: int) -> str:
            folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidecar-node-")))
            node = await start_node(settings.node, port=port, data=folder, report=report)
            stack.push_async_callback(node.stop)
            ends["cluster"] = node.exited
            return node.url

        async def start_embedder(listen: str, http: str) -> Mapping[str, str]:
            report("the embedder loads its model")
            arguments = ["--listen", listen, "--http-listen", http, *models, *config]
            embedder = await stack.enter_async_context(child("embedder", arguments))
            ends["embedder"] = embedder.exited
            report(f"the embedder answers at {embedder.ready['embedder']}")
            return embedder.ready

        async def start_bridge(listen: str, admin: str) -> Mapping[str, str]:
            arguments = ["--listen", listen, "--admin-listen", admin, "--upstream", cluster]
            arguments += ["--embedder", embedder["embedder"], *config]
            bridge = await stack.enter_async_context(child("bridge", arguments))
            ends["bridge"] = bridge.exited
            return bridge.ready

        starting = _at_free_places(start_embedder, embedder_places)
        if upstream is None:
            cluster, embedder = await _both(_at_free_places(start_cluster, node_places), starting)
        else:
            cluster, embedder = upstream, await starting
        bridge = await _at_free_places(start_bridge, bridge_places)
        addresses = SystemAddresses(
            cluster=cluster,
            bridge=bridge["bridge"],
            embedder=embedder["embedder"],
            bridge_admin=bridge["admin"],
            embedder_http=f"http://{embedder['http']}",
        )
        yield System(addresses, ends)


async def _at_free_places(
    start: Callable[[*PlaceTypes], Coroutine[Any, Any, T]], places: Callable[[], tuple[*PlaceTypes]]
) -> T:
    """Start a part at the addresses of `places`. If another process took one first, start it once more elsewhere."""
    found = places()
    try:
        return await start(*found)
    except SidecarError:
        if places() == found:
            raise
    return await start(*places())


async def _both(
    first: Coroutine[Any, Any, str], second: Coroutine[Any, Any, Mapping[str, str]]
) -> tuple[str, Mapping[str, str]]:
    """Start two parts side by side. Raises the first failure alone, not a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            one = tasks.create_task(first, name="start cluster")
            two = tasks.create_task(second, name="start embedder")
    except* SidecarError as group:
        raise group.exceptions[0] from None
    return one.result(), two.result()


def _address(configuration: Configuration, name: str, address: str) -> str:
    host, port = split_address(address)
    return f"{address.rpartition(':')[0]}:{_port(configuration, name, port, host)}"


def _port(configuration: Configuration, name: str, port: int, host: str = "127.0.0.1") -> int:
    """The port if it is free, or 0, any free one, if it is only a default. Else raises ConfigurationError."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if name in configuration.sources:
                source = configuration.sources[name]
                raise ConfigurationError(f"{name} ({source}): port {port} of {host} is taken") from error
            return 0
    return port


def up(
    upstream: Annotated[
        str | None, typer.Option(help="Use this cluster instead of a local node.", metavar="URL")
    ] = None,
    listen: Annotated[str | None, setting("bridge.listen", "--listen", metavar="HOST:PORT")] = None,
    model: Annotated[list[str] | None, setting("embedder.model", "--model", metavar="ID")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Keep the local node's data here [default: thrown away at the end].", metavar="DIR"),
    ] = None,
    config: ConfigFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Run a local OpenSearch node (or use --upstream), the embedder and the bridge until Ctrl-C.

    If a default port is taken, a free one is used. A port from a flag, a variable or the file must be free. One line is
    printed when everything is ready.
    """
    configuration = configure(config, bridge__listen=listen, embedder__model=model or None)
    run_until_signal(_run(configuration, config, upstream=upstream, data=data, as_json=as_json))


async def _run(
    configuration: Configuration, config_file: Path | None, *, upstream: str | None, data: Path | None, as_json: bool
) -> None:
    keep_parts_quiet(configuration)
    async with AsyncExitStack() as stack:
        with steps() as report:
            system = await stack.enter_async_context(
                running_system(configuration, upstream=upstream, data=data, config_file=config_file, report=report)
            )
        where = asdict(system.addresses)
        if as_json:
            say(json.dumps(where))
        else:
            say("ready: " + "  ".join(f"{name} {address}" for name, address in where.items()))
        await system.wait()


def keep_parts_quiet(configuration: Configuration) -> None:
    """Let the parts log warnings only, unless the level is set. This command reports their start itself."""
    if "log_level" not in configuration.sources:
        os.environ[variable("log_level")] = "warning"  # they inherit it
