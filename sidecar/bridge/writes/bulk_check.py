"""Lets the cluster check a bulk request before the bridge cuts it.

The cluster reads a bulk request to its end before it carries out anything, and refuses it whole for one bad line. If
the request is cut, it can only refuse the part with that line, when other parts have been written. So the whole request
goes to the cluster once with two more lines, which no cluster accepts. It is read and checked, and nothing of it is
carried out. If the cluster accepts all other lines, the answer is the one to these two lines alone.
"""

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from sidecar.bridge.proxy import presentation
from sidecar.bridge.proxy.body import Body
from sidecar.bridge.proxy.headers import READ_ANSWER
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.query_string import join_target, without_parameters
from sidecar.bridge.proxy.spool import Spool
from sidecar.bridge.proxy.upstream import Upstream, read_answer, relay
from sidecar.jsontext import Json, at, loads

# Deletes without an id. The second one is for an action that we did not see to lack its source line: it would take the
# first as its source.
_REFUSED: Final = b'{"delete":{}}\n' * 2
_NOT_VALID: Final = "action_request_validation_exception"
_PIECE_BYTES: Final = 256 * 1024


class BulkCheck:
    """Checks one bulk request.

    The operations of `text` reach to `end`. Only an action without its source line may follow, which the cluster drops.
    None: we cannot tell.
    """

    def __init__(
        self, upstream: Upstream, request: IncomingRequest, body: Body, text: Spool, end: int | None = None
    ) -> None:
        self._upstream = upstream
        self._request = request
        self._body = body
        self._text = text
        self._end = end

    async def refusal(self) -> web.StreamResponse | None:
        """The answer of a cluster that refuses the bulk request. None if the cluster would accept it.

        Raises ClusterUnreachable.
        """
        checked = await self._ask(self._with_refused_lines())
        if isinstance(checked, web.StreamResponse):
            return checked
        expected = await self._ask(_REFUSED)
        if isinstance(expected, web.StreamResponse):
            return expected
        error = _error(checked)
        if error == _error(expected) and error[0] == _NOT_VALID:
            return None
        if self._end is None:  # the cluster may have read one of our lines as a source, and might accept the bulk alone
            shown = presentation.present(checked, self._request.parameters)
            return web.Response(body=shown, status=400, content_type="application/json", charset="UTF-8")
        return await self._upstream.forward_read(self._request, self._body)  # the cluster refuses it in its own words

    async def _ask(self, body: bytes | AsyncIterator[bytes]) -> bytes | web.StreamResponse:
        """The body of an answer with status 400. Any other status does not depend on the lines, and is our answer."""
        query = without_parameters(self._request.query, presentation.FILTER_PATH, "format")
        target, headers = join_target(self._request.path, query), self._request.for_upstream(*READ_ANSWER)
        async with self._upstream.send(self._request.method, target, headers, body) as response:
            if response.status != 400:
                return await relay(self._request, response)
            return await read_answer(response)

    async def _with_refused_lines(self) -> AsyncIterator[bytes]:
        end = self._text.size if self._end is None else self._end
        for start in range(0, end, _PIECE_BYTES):
            yield self._text.read(start, min(start + _PIECE_BYTES, end))
        yield _REFUSED
        for start in range(end, self._text.size, _PIECE_BYTES):
            yield self._text.read(start, min(start + _PIECE_BYTES, self._text.size))


def _error(answer: bytes) -> tuple[Json, Json]:
    """The type and the reason of an error."""
    try:
        error = at(loads(answer), "error")
    except ValueError:
        return None, None
    return at(error, "type"), at(error, "reason")
