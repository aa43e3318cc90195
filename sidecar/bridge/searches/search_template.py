"""Has search templates rendered by the cluster, with the client's own credentials.

A rendered template is a search like any other.
"""

from sidecar.bridge.proxy.budget import Share
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.upstream import Upstream, read_held_answer
from sidecar.bridge.searches.limits import MAX_BODY_BYTES
from sidecar.bridge.searches.search_body import parse_search
from sidecar.jsontext import Object, dumps, loads_exact
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop


async def render(
    upstream: Upstream, request: IncomingRequest, template: Object | None, size: int, share: Share
) -> tuple[Object, int] | None:
    """Render a template of `size` bytes. Gives the search and its size.

    Gives None if the cluster does not render it, or if the client sets `explain` or `profile`. Raises
    ClusterUnreachable, and AnswerTooLarge for a search that the bridge would not plan.
    """
    if not template or template.get("explain") or template.get("profile"):
        return None
    headers = [*request.credentials.items(), ("Content-Type", "application/json")]
    written = await off_the_loop(WEIGHT_OF_JSON * size, dumps, template)
    async with upstream.send("POST", "/_render/template", headers, written) as response:
        answer = await read_held_answer(response, share, MAX_BODY_BYTES)
        if response.status != 200:
            return None
    search = await off_the_loop(WEIGHT_OF_JSON * len(answer), _rendered, answer)
    return None if search is None else (search, len(answer))


def _rendered(answer: bytes) -> Object | None:
    try:
        parsed = loads_exact(answer)
    except ValueError:
        return None
    rendered = parsed.get("template_output") if isinstance(parsed, dict) else None
    return parse_search(dumps(rendered)) if isinstance(rendered, dict) else None
