"""Has search templates rendered by the cluster, with the client's own credentials.

A rendered template is a search like any other. It is sent as a template again, because the answer to a template has
another shape than that to a search.
"""

from collections.abc import Mapping
from typing import Final

from sidecar.bridge.hidden_source import SOURCE_PARAMETERS, STORED_FIELDS
from sidecar.bridge.proxy.budget import Share
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.upstream import Upstream, read_held_answer
from sidecar.bridge.searches.limits import MAX_BODY_BYTES
from sidecar.bridge.searches.rewrite.eligibility import QUERY_PARAMETERS
from sidecar.bridge.searches.search_body import parse_search
from sidecar.jsontext import Json, Object, dumps, loads_exact
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

# One text for all searches: the cluster compiles it once, and limits how often it compiles another.
_WRITTEN_OUT: Final = "{{#toJson}}search{{/toJson}}"
_OPTIONS: Final = ("explain", "profile")  # of a template. They win over those of the search
# Parameters of a URL that say what the body says too. The rendered body replaces them.
_OF_THE_BODY: Final = frozenset(
    {
        *QUERY_PARAMETERS, *SOURCE_PARAMETERS, *_OPTIONS, STORED_FIELDS, "docvalue_fields", "from",
        "seq_no_primary_term", "size", "sort", "stats", "suggest_field", "suggest_mode", "suggest_size",
        "suggest_text", "terminate_after", "timeout", "track_scores", "track_total_hits", "version",
    }
)  # fmt: skip


async def render(
    upstream: Upstream, request: IncomingRequest, template: Object | None, size: int, share: Share
) -> tuple[Object, int] | None:
    """Render a template of `size` bytes. Gives the search and its size, or None if the cluster does not render it.

    Raises ClusterUnreachable, and AnswerTooLarge for a search that the bridge would not plan.
    """
    if not template:
        return None
    headers = [*request.credentials.headers.items(), ("Content-Type", "application/json")]
    written = await off_the_loop(WEIGHT_OF_JSON * size, dumps, template)
    async with upstream.send("POST", request.identified("/_render/template"), headers, written) as response:
        answer = await read_held_answer(response, share, MAX_BODY_BYTES)
        if response.status != 200:
            return None
    search = await off_the_loop(WEIGHT_OF_JSON * len(answer), _rendered, answer)
    if search is None:
        return None
    options: Object = {name: True for name in _OPTIONS if template.get(name) in (True, "true")}
    return {**{name: value for name, value in search.items() if name not in _OPTIONS}, **options}, len(answer)


def _rendered(answer: bytes) -> Object | None:
    try:
        parsed = loads_exact(answer)
    except ValueError:
        return None
    rendered = parsed.get("template_output") if isinstance(parsed, dict) else None
    return parse_search(dumps(rendered)) if isinstance(rendered, dict) else None


def parameters_of_template(url: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a URL that apply to a template."""
    return {name: value for name, value in url.items() if name not in _OF_THE_BODY}


def as_template(search: Json) -> Object:
    """A template that is rendered to a search."""
    body = search if isinstance(search, dict) else {}
    options: Object = {name: body[name] for name in _OPTIONS if name in body}
    return {"source": _WRITTEN_OUT, "params": {"search": search}, **options}
