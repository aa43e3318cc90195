"""Asks the cluster which effect the ingest pipelines of a write may have, with the client's own credentials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sidecar.bridge.bindings.indices import WriteTarget
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.proxy.identity import Credentials
from sidecar.bridge.proxy.spool import Spool
from sidecar.bridge.writes.bulk_action import Action
from sidecar.bridge.writes.bulk_body import BulkItem, Place, action_parameters, load, parts
from sidecar.bridge.writes.bulk_preparation import MAX_SUB_BULK_BYTES
from sidecar.bridge.writes.pipeline_effects import (
    Effect,
    called_pipelines,
    called_scripts,
    effect_of_pipeline,
    effect_of_script,
)
from sidecar.jsontext import as_text, at
from sidecar.model import IndexBinding

_NONE: Final = "_none"
_MAX_CALLED: Final = 64
_NAMES_ONE: Final = (b"pipeline", b"\\u00")  # the member of an action line, or the escapes that may hide it


@dataclass(frozen=True, slots=True)
class ItemEffects:
    """The effects on the items of a bulk request, by the name of the index and that of the pipeline."""

    by_default: Mapping[str, Effect] = field(default_factory=dict)
    by_name: Mapping[tuple[str, str], Effect] = field(default_factory=dict)

    def of(self, item: BulkItem) -> Effect:
        """The effect on the document of an item."""
        named = _named(item)
        if named is None:
            return self.by_default.get(item.index, Effect.NONE)
        return self.by_name.get((item.index, named), Effect.NONE)


async def effect_on(target: WriteTarget, named: str | None, bindings: Bindings, credentials: Credentials) -> Effect:
    """The effect on a document for this target. `named` is the pipeline of the request, which replaces the default.

    Raises ClusterUnreachable.
    """
    name = target.ingest_pipeline if named is None else named
    if name in (None, _NONE) or target.binding is None:
        return Effect.NONE
    return await _effect(str(name), target.binding, bindings, credentials)


async def effects_on_items(
    targets: Mapping[str, WriteTarget],
    named: str | None,
    by_items: frozenset[tuple[str, str]],
    *,
    bindings: Bindings,
    credentials: Credentials,
) -> ItemEffects:
    """The effects on the items of a bulk. `by_items` has the pipelines of action lines. Raises ClusterUnreachable."""
    default = {index: await effect_on(target, named, bindings, credentials) for index, target in targets.items()}
    chosen = {
        (index, name): await effect_on(targets[index], name, bindings, credentials) for index, name in sorted(by_items)
    }
    return ItemEffects(default, chosen)


def pipelines_of_items(places: Sequence[Place], text: Spool) -> frozenset[tuple[str, str]]:
    """The pipelines that the action lines of a bulk name, each with the index of its item."""
    found = set[tuple[str, str]]()
    for part in parts([place for place in places if place.action is not Action.DELETE], MAX_SUB_BULK_BYTES):
        for item in load(part, text.read):
            named = _named(item)
            if named is not None:
                found.add((item.index, named))
    return frozenset(found)


def _named(item: BulkItem) -> str | None:
    if not any(sign in item.action_line for sign in _NAMES_ONE):
        return None
    return as_text(action_parameters(item).get("pipeline"))


async def _effect(name: str, bound: IndexBinding, bindings: Bindings, credentials: Credentials) -> Effect:
    known, waiting, scripts = set[str](), [name], set[str]()
    effect = Effect.NONE
    while waiting and effect is not Effect.MOVES:
        one = waiting.pop()
        if one in known:
            continue
        if len(known) == _MAX_CALLED:
            return Effect.MOVES
        known.add(one)
        definition = await bindings.ingest_pipeline(one, credentials)
        effect = max(effect, effect_of_pipeline(definition, bound))
        waiting += called_pipelines(definition)
        scripts.update(called_scripts(definition))
    for identifier in sorted(scripts):
        stored = await bindings.stored_script(identifier, credentials)
        effect = max(effect, effect_of_script(at(stored, "source")))
    return effect
