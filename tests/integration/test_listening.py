"""A listener and its probes, over a real socket."""

import aiohttp
import pytest
from aiohttp import web

from sidecar.errors import ConfigurationError
from sidecar.listening import Readiness, listening, probes

SETTING = "some.listen"


def runner(*states: Readiness) -> web.AppRunner:
    found = iter(states)

    async def readiness() -> Readiness:
        return next(found)

    app = web.Application()
    app.add_routes(probes(readiness))
    return web.AppRunner(app, access_log=None)


async def test_the_probes() -> None:
    serving = runner(Readiness(is_ready=True, line="serving"), Readiness(is_ready=False, line="draining"))
    async with listening(serving, "127.0.0.1:0", SETTING) as address, aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"http://{address}{path}") as answer:
                return answer.status, await answer.text()

        assert await get("/livez") == (200, "ok\n")
        assert await get("/readyz") == (200, "serving\n")
        assert await get("/readyz") == (503, "draining\n")
        status, metrics = await get("/metrics")
        assert (status, "# TYPE" in metrics) == (200, True)


async def test_an_address_that_is_taken_is_named_with_its_setting() -> None:
    async with listening(runner(), "127.0.0.1:0", SETTING) as address:
        with pytest.raises(ConfigurationError) as refused:
            async with listening(runner(), address, SETTING):
                pytest.fail("listens twice")
    assert str(refused.value) == f"{SETTING}: cannot listen on {address}: Address already in use"


async def test_a_host_that_is_not_known_is_named_with_its_setting() -> None:
    with pytest.raises(ConfigurationError) as refused:
        async with listening(runner(), "nosuchhost.invalid:0", SETTING):
            pytest.fail("listens nowhere")
    assert str(refused.value).startswith(
        f"{SETTING}: cannot listen on nosuchhost.invalid:0: the host [nosuchhost.invalid] is not known: "
    )
