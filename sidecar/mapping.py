"""The fields of an index, as its mapping tells of them. Pure."""

from collections.abc import Iterator

from sidecar.jsontext import Json


def mapped_fields(
    properties: Json, prefix: str = "", *, with_subfields: bool = False
) -> Iterator[tuple[str, dict[str, Json]]]:
    """Path and definition of every field, objects included; `with_subfields`: of multi-fields, too."""
    for name, field in properties.items() if isinstance(properties, dict) else ():
        if isinstance(field, dict):
            path = prefix + name
            yield path, field
            yield from mapped_fields(field.get("properties"), f"{path}.", with_subfields=with_subfields)
            if with_subfields:
                yield from mapped_fields(field.get("fields"), f"{path}.", with_subfields=True)
