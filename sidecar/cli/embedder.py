"""`sidecar embedder`: the embedding server in the foreground."""

import json
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated

from sidecar.cli.foreground import run_until_signal, until_cancelled
from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.config import Settings
from sidecar.models.store import ModelStore
from sidecar.output import say

if TYPE_CHECKING:
    from sidecar.embedding.server import Running


def embedder(
    listen: Annotated[str | None, setting("embedder.listen", "--listen", metavar="HOST:PORT")] = None,
    model: Annotated[list[str] | None, setting("embedder.model", "--model", metavar="ID[/BACKEND]")] = None,
    http_listen: Annotated[str | None, setting("embedder.http_listen", "--http-listen", metavar="HOST:PORT")] = None,
    threads: Annotated[int | None, setting("embedder.threads", "--threads", metavar="N")] = None,
    config: ConfigFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Run the embedding server: texts in, vectors out, over gRPC. `--model` may be given several times.

    It prints one line when it is ready. Port 0 takes a free port. On SIGTERM or SIGINT it finishes requests in work.
    """
    configuration = configure(
        config,
        embedder__listen=listen,
        embedder__model=tuple(model) if model else None,
        embedder__http_listen=http_listen,
        embedder__threads=threads,
    )
    run_until_signal(_serve(configuration.settings, as_json=as_json))


async def _serve(settings: Settings, *, as_json: bool) -> None:
    from sidecar.embedding.loading.cpus import available_cpus  # noqa: PLC0415 - a bridge host has no tokenizers
    from sidecar.embedding.loading.models import open_models  # noqa: PLC0415
    from sidecar.embedding.worker.supervisor import working  # noqa: PLC0415

    store = ModelStore(settings.models.dir)
    opened = open_models(settings.embedder.model, store, memory_bytes=settings.embedder.memory_bytes)
    async with working(opened, settings.embedder.threads or available_cpus()) as worker:
        from sidecar.embedding.server import serving  # noqa: PLC0415 - half a second, while the worker loads
        from sidecar.tracing import tracing  # noqa: PLC0415

        with tracing(settings.tracing) as spans:
            await _say_and_wait(serving(settings.embedder, worker.loaded, spans), as_json=as_json)


async def _say_and_wait(server: "AbstractAsyncContextManager[Running]", *, as_json: bool) -> None:
    async with server as running:
        models = [(model.version.id, model.backend.name) for model in running.models]
        if as_json:
            ready = {
                "embedder": running.address,
                "http": running.http_address,
                "models": [{"model": model, "backend": backend} for model, backend in models],
            }
            say(json.dumps(ready))
        else:
            names = "; ".join(f"model {model}, {backend}" for model, backend in models)
            say(f"embedder ready on {running.address} ({names})")
        await until_cancelled()
