"""`sidecar bridge`: the HTTP bridge in the foreground."""

import json
from typing import Annotated

from sidecar.cli.foreground import run_until_signal, until_cancelled
from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.config import Settings
from sidecar.output import say


def bridge(
    listen: Annotated[str | None, setting("bridge.listen", "--listen", metavar="HOST:PORT")] = None,
    upstream: Annotated[str | None, setting("bridge.upstream", "--upstream", metavar="URL")] = None,
    embedder: Annotated[str | None, setting("bridge.embedder", "--embedder", metavar="HOST:PORT")] = None,
    admin_listen: Annotated[str | None, setting("bridge.admin_listen", "--admin-listen", metavar="HOST:PORT")] = None,
    config: ConfigFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Run the HTTP bridge: it embeds indexed texts, makes searches hybrid, and forwards all else unchanged.

    It prints one line when it is ready. Port 0 takes a free port. On SIGTERM or SIGINT it finishes requests in work.
    """
    configuration = configure(
        config,
        bridge__listen=listen,
        bridge__upstream=upstream,
        bridge__embedder=embedder,
        bridge__admin_listen=admin_listen,
    )
    run_until_signal(_serve(configuration.settings, as_json=as_json))


async def _serve(settings: Settings, *, as_json: bool) -> None:
    from sidecar.bridge.app import serving  # noqa: PLC0415 - aiohttp and grpc would slow every other command
    from sidecar.cli.embedder_client import embedder_client  # noqa: PLC0415

    async with (
        embedder_client(settings.bridge) as client,
        serving(settings.bridge, client) as listening,
    ):
        url, admin = f"http://{listening.address}", f"http://{listening.admin_address}"
        if as_json:
            say(json.dumps({"bridge": url, "admin": admin}))
        else:
            say(f"bridge ready on {url} (admin {admin})")
        await until_cancelled()
