"""The requests that read the documents of an index, a page at a time, and their answers. Pure.

A shard is read in the order of `_seq_no`, up to the last one at the start. That order is total within a shard and needs
no context in the cluster that could expire. A document that is written meanwhile, by us or by others, moves behind the
end. (OpenSearch 2.x does not know `_shard_doc`, the sort key of points in time.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.jsontext import Json
from sidecar.model import Binding, IndexBinding
from sidecar.provenance import source_text
from sidecar.repair.documents import StoredDocument

FIRST_PAGE_DOCUMENTS: Final = 20
_MAX_PAGE_DOCUMENTS: Final = 500
_PAGE_BYTES: Final = 4 * 1024 * 1024
_DOCUMENT_BYTES: Final = 500  # of a hit, whatever its texts


@dataclass(frozen=True, slots=True)
class Extent:
    """The documents to read in a shard."""

    documents: int
    last_seq_no: int


def is_pending(bound: IndexBinding) -> Json:
    """The query for documents with a text that waits for its vector."""
    return {
        "bool": {
            "should": [{"exists": {"field": b.pending_field}} for b in bound.fields.values()],
            "minimum_should_match": 1,
        }
    }


def extent_request(query: Json) -> Json:
    """Ask how many documents of a shard match, and for the number of the last one."""
    return {"size": 0, "track_total_hits": True, "query": query, "aggs": {"last": {"max": {"field": "_seq_no"}}}}


def read_extent(answer: Any) -> Extent:
    """Read the answer to `extent_request`."""
    documents = answer["hits"]["total"]["value"]
    return Extent(documents, int(answer["aggregations"]["last"]["value"]) if documents else -1)


def page_request(bound: IndexBinding, query: Json, *, after: int, last: int, size: int) -> Json:
    """Ask for the next documents of a shard. Named queries say whether there is a vector, and no vector travels."""
    return {
        "size": size,
        "track_total_hits": False,
        "seq_no_primary_term": True,
        "_source": _wanted(bound),
        "query": {
            "bool": {
                "filter": [query, {"range": {"_seq_no": {"gt": after, "lte": last}}}],
                "should": [{"exists": {"field": field, "_name": field}} for field in bound.fields],
            }
        },
        "sort": [{"_seq_no": "asc"}],
    }


def read_page(answer: Any) -> tuple[StoredDocument, ...]:
    """Read the answer to `page_request`."""
    return tuple(StoredDocument.read(hit, frozenset(hit.get("matched_queries", ()))) for hit in answer["hits"]["hits"])


def next_size(size: int, page: Sequence[StoredDocument], bound: IndexBinding) -> int:
    """How many documents to ask for after this page: as many as fit, and at most twice as many as the last time."""
    texts = sum(len(source_text(dict(d.source), b)) for d in page for b in bound.fields.values())
    mean = _DOCUMENT_BYTES + texts // max(len(page), 1)
    return max(1, min(2 * size, _PAGE_BYTES // mean, _MAX_PAGE_DOCUMENTS))


def again_request(bound: IndexBinding, documents: Sequence[StoredDocument]) -> Json:
    """Ask for the same documents as they are now. These are few, so that their vectors may travel."""
    wanted: list[Json] = [*_wanted(bound), *bound.fields]
    return {
        "docs": [
            {"_id": d.id, "_source": wanted, **({"routing": d.routing} if d.routing is not None else {})}
            for d in documents
        ]
    }


def read_again(answer: Any, bound: IndexBinding) -> tuple[StoredDocument, ...]:
    """Read the answer to `again_request`: the documents that are still there."""
    return tuple(
        StoredDocument.read(found, frozenset(f for f in bound.fields if found["_source"].get(f) is not None))
        for found in answer["docs"]
        if found.get("found")
    )


def _wanted(bound: IndexBinding) -> list[Json]:
    """The paths of `_source` that are read. They match literal dotted keys as well as nested ones."""

    def paths(binding: Binding) -> tuple[str, ...]:
        return (*binding.source, binding.meta_field)

    return list(dict.fromkeys(path for binding in bound.fields.values() for path in paths(binding)))
