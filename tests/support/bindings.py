"""Bindings and indices for tests."""

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.model import Binding, IndexBinding, SearchBinding, SpaceType, WritePolicy

SPACE = "sha256:" + "a" * 64


def a_binding(field: str = "embedding", *, source: tuple[str, ...] = ("title", "abstract"), model: str = "m@1",
              space: str = SPACE, write: WritePolicy | None = None) -> Binding:  # fmt: skip
    return Binding(
        field=field,
        model=model,
        space=space,
        dimension=2,
        space_type=SpaceType.COSINESIMIL,
        source=source,
        write=write or WritePolicy(),
    )


def bound(*bindings: Binding, search: SearchBinding | None = None) -> IndexBinding:
    fields = bindings or (a_binding(),)
    return IndexBinding(
        fields={b.field: b for b in fields}, search=search or SearchBinding(field=next(iter(fields)).field)
    )


def an_index(name: str = "papers", binding: IndexBinding | None = None, **changes: object) -> BoundIndex:
    bound_by = binding or bound()
    feeding = {field: frozenset(b.source) for field, b in bound_by.fields.items()}
    defaults: dict[str, object] = {"text_fields": feeding, "sees_all_sources": True, "search_pipeline": None}
    return BoundIndex(name, bound_by, **{**defaults, **changes})


def an_unbound_index(name: str = "notes") -> BoundIndex:
    return BoundIndex(name, None, {}, sees_all_sources=True, search_pipeline=None)
