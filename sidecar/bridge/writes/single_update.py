"""Makes a single update of a scripted update in a bulk, and an item of a bulk answer of its answer.

Pure. The cluster runs no pipeline on the result of a script in a bulk. On that of a single update it does, so the guard
can check it.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Final
from urllib.parse import quote, urlencode

from sidecar.bridge.hidden_source import SOURCE_PARAMETERS
from sidecar.bridge.splice import members, splice
from sidecar.bridge.writes.bulk_action import Action, Operation
from sidecar.bridge.writes.bulk_answer import failed_item
from sidecar.bridge.writes.bulk_body import BulkItem, action_parameters
from sidecar.jsontext import as_text, dumps, loads

_OF_THE_BULK: Final = ("refresh", "timeout", "wait_for_active_shards", "routing", "require_alias")
_OF_THE_ITEM: Final = ("routing", "require_alias", "if_seq_no", "if_primary_term", "retry_on_conflict")


class Upsert(Enum):
    """The kind of document that an update creates if there is none yet."""

    PLAIN = auto()  # the `upsert`
    OF_SCRIPT = auto()  # the result of the script on the `upsert`


def single_update(item: BulkItem, bulk_parameters: Mapping[str, str]) -> tuple[str, bytes]:
    """The single update that does the same as the item. Gives its path with query, and its body."""
    metadata = action_parameters(item)
    parameters: dict[str, str] = {name: bulk_parameters[name] for name in _OF_THE_BULK if name in bulk_parameters}
    parameters |= {name: text for name in _OF_THE_ITEM if (text := as_text(metadata.get(name))) is not None}
    source = item.source_line or b""
    # In a bulk request `_source` of the action line wins over the URL, and the URL over the body. In a single update
    # the body wins.
    if metadata.get("_source") is not None:
        source = splice(source, {"_source": dumps(metadata["_source"])}, {"_source"})
    elif shown := {name: bulk_parameters[name] for name in SOURCE_PARAMETERS if name in bulk_parameters}:
        source = splice(source, {}, {"_source"})
        parameters |= shown
    path = f"/{quote(item.index, safe='')}/_update/{quote(item.id or '', safe='')}"
    return (f"{path}?{urlencode(parameters)}" if parameters else path), source


def piped_upsert(item: BulkItem, bulk_parameters: Mapping[str, str]) -> Upsert | None:
    """The kind of document that the update creates, if it names a pipeline and has an `upsert`. Else None.

    Such an update cannot be one single update, because the cluster allows no pipeline there.
    """
    named = action_parameters(item).get("pipeline")
    if named is None and "pipeline" not in bulk_parameters:
        return None
    try:
        body = loads(item.source_line or b"")
    except ValueError:
        return None
    if not isinstance(body, dict) or "upsert" not in body:
        return None
    return Upsert.OF_SCRIPT if body.get("scripted_upsert") in (True, "true") else Upsert.PLAIN


def creation(item: BulkItem) -> BulkItem:
    """The part of a scripted update that creates a missing document. If the document exists, it is a `noop`."""
    source = splice(item.source_line or b"", {"doc": b"{}"}, {"script", "scripted_upsert", "detect_noop"})
    return replace(item, source_line=source)


def without_upsert(item: BulkItem) -> BulkItem:
    """The part of a scripted update that changes an existing document."""
    return replace(item, source_line=splice(item.source_line or b"", {}, {"upsert", "scripted_upsert"}))


def as_bulk_item(operation: Operation, status: int, body: bytes) -> bytes:
    """Make an item of a bulk answer of the answer to a single update."""
    try:
        answer = loads(body)
    except ValueError:
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    if status < 300 and isinstance(answer, dict):
        return b'{"update":' + splice(body.rstrip(), {"status": b"%d" % status}) + b"}"
    if not isinstance(error, dict):
        return failed_item(operation, status, "exception", "the cluster refused this update")
    (member,) = [member for member in members(body) if member.key == "error"]
    cause = splice(body[member.value_start : member.value_end], {}, {"root_cause"})
    about = {"_index": error.get("index", operation.index), "_id": operation.id, "status": status}
    return b'{"%b":' % Action.UPDATE.encode() + splice(dumps(about), {"error": cause}) + b"}"
