"""Has search templates rendered by the cluster, with the client's own credentials.

A rendered template is a search like any other.
"""

from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.upstream import Upstream, read_answer
from sidecar.bridge.searches.search_body import parse_search
from sidecar.jsontext import Object, dumps, loads_exact


async def render(upstream: Upstream, request: IncomingRequest, template: Object | None) -> Object | None:
    """Render a template. Gives None if the cluster does not render it, or if the client sets `explain` or `profile`.

    Raises ClusterUnreachable.
    """
    if not template or template.get("explain") or template.get("profile"):
        return None
    headers = [*request.credentials.headers.items(), ("Content-Type", "application/json")]
    async with upstream.send("POST", request.identified("/_render/template"), headers, dumps(template)) as response:
        answer = await read_answer(response)
        if response.status != 200:
            return None
    try:
        parsed = loads_exact(answer)
    except ValueError:
        return None
    rendered = parsed.get("template_output") if isinstance(parsed, dict) else None
    return parse_search(dumps(rendered)) if isinstance(rendered, dict) else None
