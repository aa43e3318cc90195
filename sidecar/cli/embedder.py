"""`sidecar embedder`: the embedding server in the foreground."""

import asyncio
import json
import os
import sys
from functools import partial
from typing import Annotated

from sidecar.cli.foreground import run_until_signal
from sidecar.cli.options import AsJson, ConfigFile, configure, setting
from sidecar.config import Settings
from sidecar.models.store import ModelStore


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

    Prints one line when it is ready; port 0 takes a free port. SIGTERM and SIGINT finish what is in work first.
    """
    configuration = configure(
        config,
        embedder__listen=listen,
        embedder__model=tuple(model) if model else None,
        embedder__http_listen=http_listen,
        embedder__threads=threads,
    )
    has_served: list[bool] = []
    run_until_signal(_serve(configuration.settings, has_served, as_json=as_json))
    if not has_served:  # stopped while a thread imports torch, which nothing can interrupt: nothing else is left to do
        sys.stdout.flush()
        os._exit(0)


async def _serve(settings: Settings, has_served: list[bool], *, as_json: bool) -> None:
    from sidecar.embedding.loading import load_models  # noqa: PLC0415 - a bridge host has no tokenizers
    from sidecar.embedding.server import serving  # noqa: PLC0415

    store = ModelStore(settings.models.dir)
    load = partial(load_models, settings.embedder.model, store, threads=settings.embedder.threads)
    async with serving(settings.embedder, load) as running:
        has_served.append(True)
        models = [(model.version.id, model.backend.name) for model in running.models]
        if as_json:
            ready = {
                "embedder": running.address,
                "http": running.http_address,
                "models": [{"model": model, "backend": backend} for model, backend in models],
            }
            print(json.dumps(ready), flush=True)
        else:
            names = "; ".join(f"model {model}, {backend}" for model, backend in models)
            print(f"embedder ready on {running.address} ({names})", flush=True)
        await asyncio.Event().wait()  # until a signal cancels us
