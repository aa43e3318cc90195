"""The documents that are installed in the cluster, as shipped: JSON files with placeholders (`ingest_pipelines/`)."""

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, cast

from sidecar.jsontext import Json, loads

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


def document(name: str, values: Mapping[str, Json]) -> dict[str, Json]:
    """The shipped document of this name, such as "ingest/guard.json", filled with these values."""
    read = loads(_folder().joinpath(name).read_bytes())
    return _fill_members(cast("dict[str, Json]", read), values)


def _folder() -> Traversable:
    # The wheel has the folder inside the package, a checkout has it beside the package.
    packaged = files("sidecar").joinpath("ingest_pipelines")
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "ingest_pipelines"


def fill(node: Json, values: Mapping[str, Json]) -> Json:
    """The node with its placeholders replaced.

    A string that is one placeholder becomes the value itself, of any type. Inside a longer string, and in keys, values
    are put as text. Placeholders in values are left alone. Raises KeyError for a placeholder without a value.
    """
    match node:
        case str():
            alone = _PLACEHOLDER.fullmatch(node)
            return values[alone[1]] if alone else _fill_text(node, values)
        case list():
            return [fill(element, values) for element in node]
        case dict():
            return _fill_members(node, values)
    return node


def _fill_members(members: Mapping[str, Json], values: Mapping[str, Json]) -> dict[str, Json]:
    return {
        # A script is a list of lines in the file, to be readable. OpenSearch wants one string.
        _fill_text(key, values): "\n".join(map(str, value))
        if key == "source" and isinstance(value, list)
        else fill(value, values)
        for key, value in members.items()
    }


def _fill_text(text: str, values: Mapping[str, Json]) -> str:
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), text)
