"""The bulk path, to be read from top to bottom: read, parse, bind, cut into waves; each: plan, embed, splice, send."""

from collections.abc import Sequence

from aiohttp import web

from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.proxy import headers as wire
from sidecar.bridge.proxy.body import BodyReader
from sidecar.bridge.proxy.spool import Spool
from sidecar.bridge.proxy.upstream import Upstream
from sidecar.bridge.routes import Bulk
from sidecar.bridge.writes.bulk_body import Action, Place, load, parse_bulk, parts
from sidecar.bridge.writes.bulk_plan import Kind, Step, Targets, plan_step
from sidecar.bridge.writes.bulk_preparation import MAX_SUB_BULK_BYTES
from sidecar.bridge.writes.conversation import Conversation
from sidecar.bridge.writes.passages import Passages
from sidecar.threads import WEIGHT_OF_DOCUMENT, off_the_loop


class Bulks:
    """Handles `_bulk`."""

    def __init__(self, upstream: Upstream, bindings: Bindings, passages: Passages, bodies: BodyReader) -> None:
        self._upstream = upstream
        self._bindings = bindings
        self._passages = passages
        self._bodies = bodies

    async def handle(self, request: web.BaseRequest, route: Bulk, target: str) -> web.StreamResponse:
        """Every text is embedded before the first byte goes to the cluster, unless an update must read what is written.

        Raises EmbedderOverloaded if a binding would rather have the write refused.
        """
        async with self._bodies.read(request) as body:
            text = body.text
            places = await off_the_loop(4 * text.size, parse_bulk, text.lines(), route.index) if text else None
            if text is None or places is None:
                return await self._upstream.pass_on(request, target, body)
            credentials = wire.credentials(request.headers)
            names = {place.index for place in places}
            targets = {name: await self._bindings.of_write(name, credentials) for name in names}
            if not any(goal.binding for goal in targets.values()):
                return await self._upstream.pass_on(request, target, body)
            routing = wire.parameters(target.partition("?")[2]).get("routing")
            weight = text.size + WEIGHT_OF_DOCUMENT * len(places)
            steps = await off_the_loop(weight, _steps, places, text, targets, routing)
            if steps is None:
                return await self._upstream.pass_on(request, target, body)
            conversation = Conversation(self._upstream, self._passages, request, target, targets=targets, text=text)
            if any(step.kind is not Kind.PLAIN for step in steps):
                return await conversation.in_waves(places, steps)
            return await conversation.at_once(places) or await self._upstream.pass_on(request, target, body)


def _steps(places: Sequence[Place], text: Spool, targets: Targets, routing: str | None) -> list[Step] | None:
    """How each operation has to be sent; None: the cluster would refuse the request."""
    steps: list[Step] = []
    for part in parts(places, MAX_SUB_BULK_BYTES):
        if any(place.action is Action.UPDATE and targets[place.index].binding for place in part):
            found = [plan_step(item, targets[item.index], routing) for item in load(part, text.read)]
        else:
            found = [Step(Kind.PLAIN, (targets[place.index].index, place.id)) for place in part]
        steps += (step for step in found if step is not None)
    return steps if len(steps) == len(places) else None
