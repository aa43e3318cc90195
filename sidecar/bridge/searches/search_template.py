"""Search templates: rendered by the cluster, in the client's own name, and then searches like any other."""

from aiohttp import web

from sidecar.bridge.proxy import headers as wire
from sidecar.bridge.proxy.upstream import Upstream, read_answer
from sidecar.bridge.searches.outcome import Object
from sidecar.bridge.searches.search_body import parse_search
from sidecar.jsontext import dumps, loads_exact


async def render(upstream: Upstream, request: web.BaseRequest, template: Object | None) -> Object | None:
    """The search that a template stands for; None if the cluster does not render it, or the client wants more than it.

    Raises ClusterUnreachable.
    """
    if not template or template.get("explain") or template.get("profile"):
        return None
    headers = [*wire.credentials(request.headers).items(), ("Content-Type", "application/json")]
    async with upstream.send("POST", "/_render/template", headers, dumps(template)) as response:
        answer = await read_answer(response)
        if response.status != 200:
            return None
    try:
        parsed = loads_exact(answer)
    except ValueError:
        return None
    rendered = parsed.get("template_output") if isinstance(parsed, dict) else None
    return parse_search(dumps(rendered)) if isinstance(rendered, dict) else None
