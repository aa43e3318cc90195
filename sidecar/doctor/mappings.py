"""The examination of a mapping: does it satisfy the binding of a vector field? Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.doctor.findings import Finding, error, warning
from sidecar.index_description import IndexDescription
from sidecar.jsontext import at
from sidecar.model import Binding

_ANEW: Final = "a mapping cannot be changed: sidecar template apply …, then _reindex into a new index"
_UNFIT: Final = "its texts are stored as pending, searches are lexical (space), and vectors of clients stay as they are"


def examine_mapping(index: IndexDescription, binding: Binding) -> Iterator[Finding]:
    """Compare the mapping of an index with the binding of one of its fields."""
    if index.fields.get(binding.field, {}).get("type") != "knn_vector":
        kind = index.fields.get(binding.field, {}).get("type", "nothing")
        yield error("vector_field", f"[{binding.field}] is mapped as [{kind}], not as knn_vector: {_UNFIT}", _ANEW)
        return
    yield from _vectors(index, binding)
    yield from _provenance(index, binding)
    yield from _source(index, binding)
    for path in binding.source:
        if path not in index.fields:
            yield warning(
                "source_field",
                f"source [{path}] of [{binding.field}] is not in the mapping, or is hidden from these "
                "credentials: searches are lexical (hidden_source)",
                f"PUT /{index.name}/_mapping with a text field [{path}]",
            )


def fatal_fields(index: str, fields: Sequence[str]) -> Iterator[Finding]:
    """Name the vector fields whose first vectors would end a node."""
    if fields:
        yield error(
            "native_knn",
            f"[{', '.join(fields)}] is mapped for faiss or nmslib, or for no engine, and a node of this cluster lacks "
            "their native library, as every local node does: the first vectors there end it",
            f'DELETE /{index}, and make it with "method": {{"name": "hnsw", "engine": "lucene"}}',
        )


def _vectors(index: IndexDescription, binding: Binding) -> Iterator[Finding]:
    name, vector = binding.field, index.fields[binding.field]
    if vector.get("dimension") != binding.dimension:
        yield error(
            "dimension",
            f"[{name}] is mapped with {vector.get('dimension')} dimensions, and its model has "
            f"{binding.dimension}: {_UNFIT}",
            _ANEW,
        )
    elif not index.takes_vectors(binding):
        yield error(
            "data_type",
            f"[{name}] is mapped with vectors of [{vector.get('data_type')}], and its model gives floats: {_UNFIT}",
            _ANEW,
        )
    mapped = at(vector, "method", "space_type") or vector.get("space_type")
    if mapped not in (None, binding.space_type):
        yield error(
            "space_type",
            f"[{name}] is mapped with space_type [{mapped}], and bound with [{binding.space_type}]: "
            "hits come in another order than the binding says",
            _ANEW,
        )


def _provenance(index: IndexDescription, binding: Binding) -> Iterator[Finding]:
    if not index.takes_provenance(binding):
        yield error(
            "provenance",
            f"[{binding.meta_field}] is not mapped as a template maps it: the bridge adds nothing to documents, "
            "searches are lexical (space), and the cluster may refuse what the guard adds",
            _ANEW,
        )
    elif index.fields.get(binding.pending_field, {}).get("type") != "rank_feature":
        yield error(
            "provenance",
            f"[{binding.pending_field}] is not mapped as rank_feature: nobody finds what is pending",
            _ANEW,
        )


def _source(index: IndexDescription, binding: Binding) -> Iterator[Finding]:
    if lost := index.source.lost(binding):
        yield error(
            "source",
            f"its mapping leaves [{', '.join(lost)}] out of _source: a bulk update around the bridge takes the vector "
            "out of the index without a mark, and `sidecar repair` leaves the index alone",
            _ANEW,
        )
    elif index.changes_source:
        yield warning(
            "source",
            "its mapping changes what is kept in _source: updates lose the rest, and `sidecar repair` "
            "leaves the index alone",
            _ANEW,
        )
