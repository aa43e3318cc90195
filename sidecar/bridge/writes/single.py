"""A scripted update of a bulk request as a request of its own, and its answer as that of a bulk item.

Pure. Of a bulk update no pipeline sees what the script has made; a single update shows it to the guard.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from sidecar.bridge.splice import members, splice
from sidecar.bridge.writes.bulk import Action, Item, Operation, action_parameters
from sidecar.bridge.writes.bulk_answers import failed_item
from sidecar.jsontext import Json, dumps, loads

_OF_THE_BULK: Final = ("refresh", "timeout", "wait_for_active_shards", "routing", "require_alias")
_OF_THE_ITEM: Final = ("routing", "require_alias", "if_seq_no", "if_primary_term", "retry_on_conflict")
_SOURCE: Final = ("_source", "_source_includes", "_source_excludes")


def single_update(item: Item, bulk_parameters: Mapping[str, str]) -> tuple[str, bytes]:
    """Path and query, and body, of the single update that does what the item says."""
    metadata = action_parameters(item)
    parameters: dict[str, str] = {name: bulk_parameters[name] for name in _OF_THE_BULK if name in bulk_parameters}
    parameters |= {name: _text(metadata[name]) for name in _OF_THE_ITEM if metadata.get(name) is not None}
    shown = (
        _shown(metadata["_source"])
        if "_source" in metadata
        else {name: bulk_parameters[name] for name in _SOURCE if name in bulk_parameters}
    )
    source = item.source_line or b""
    if shown:  # in a bulk request these win over the body, in a single update the body would
        source = splice(source, {}, {"_source"})
    path = f"/{quote(item.index, safe='')}/_update/{quote(item.id or '', safe='')}"
    query = urlencode({**parameters, **shown})
    return (f"{path}?{query}" if query else path), source


def as_bulk_item(operation: Operation, status: int, body: bytes) -> bytes:
    """The answer to a single update as the item of a bulk answer."""
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


def _shown(wanted: Json) -> dict[str, str]:
    """The `_source` of an action line as parameters of a query string."""
    if isinstance(wanted, dict):
        named = {"includes": "_source_includes", "excludes": "_source_excludes"}
        return {parameter: _text(wanted[name]) for name, parameter in named.items() if wanted.get(name)}
    return {"_source": _text(wanted)}


def _text(value: Json) -> str:
    if isinstance(value, list):
        return ",".join(_text(element) for element in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
