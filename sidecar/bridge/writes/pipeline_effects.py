"""Reads from the definition of an ingest pipeline how it may change a document after the bridge. Pure.

A pipeline may move a document to another index. Our fields must not go there, because the other index may refuse them.
A pipeline may also change a text. Then the guard takes out the vector of the old text. If a definition leaves doubt,
the greater effect is assumed.
"""

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final, TypeAlias

from sidecar.jsontext import Json, at, strings
from sidecar.model import IndexBinding

_Options: TypeAlias = Mapping[str, Json]

# Processors that write only to the fields that they name.
_NAMING: Final = frozenset(
    {
        "append", "bytes", "community_id", "convert", "copy", "date", "fail", "fingerprint", "foreach", "geoip", "gsub",
        "html_strip", "ip2geo", "join", "lowercase", "pipeline", "rename", "set", "sort", "split", "trim", "uppercase",
        "urldecode", "user_agent",
    }
)  # fmt: skip
_TARGETS: Final = ("field", "target_field")
_READ: Final = frozenset({"copy_from", "description", "if", "tag", "value"})  # options that name no target
_NESTED: Final = frozenset({"on_failure", "processor"})
_INDEX: Final = re.compile(r"(?<![A-Za-z0-9])_index(?![A-Za-z0-9_])")
_TEMPLATED: Final = "{{"


class Effect(IntEnum):
    """The greatest effect that a pipeline may have. Of two pipelines the greater one counts."""

    NONE = 0  # on our fields and their texts
    CHANGES = 1  # a text, a vector or its provenance, or the pipeline cannot be read
    MOVES = 2  # the document, to another index


def effect_of_pipeline(definition: Json, bound: IndexBinding) -> Effect:
    """The effect of one pipeline, without the pipelines and stored scripts that it calls. None: it cannot be read."""
    if not isinstance(definition, dict):
        return Effect.CHANGES
    ours = {name.partition(".")[0] for one in bound.fields.values() for name in (*one.source, one.field)}
    effects = (_effect_of_processor(kind, options, ours) for kind, options in _processors(definition))
    return max(effects, default=Effect.NONE)


def effect_of_script(source: Json) -> Effect:
    """The effect of a stored script. None: it cannot be read."""
    return Effect.MOVES if isinstance(source, str) and _INDEX.search(source) else Effect.CHANGES


def called_pipelines(definition: Json) -> tuple[str, ...]:
    """The names of the pipelines that a pipeline calls."""
    names = (options.get("name") for kind, options in _processors(definition) if kind == "pipeline")
    return tuple(name for name in names if isinstance(name, str))


def called_scripts(definition: Json) -> tuple[str, ...]:
    """The ids of the stored scripts that a pipeline runs."""
    ids = (options.get("id") for kind, options in _processors(definition) if kind == "script")
    return tuple(identifier for identifier in ids if isinstance(identifier, str))


def _processors(node: Json) -> Iterator[tuple[str, _Options]]:
    """Every processor of a pipeline at any depth, with its options."""
    for member in ("processors", "on_failure"):
        listed = at(node, member)
        for one in listed if isinstance(listed, list) else []:
            yield from _processor(one)


def _processor(node: Json) -> Iterator[tuple[str, _Options]]:
    for kind, options in node.items() if isinstance(node, dict) else ():
        if isinstance(options, dict):
            yield kind, options
            yield from _processor(options.get("processor"))
            yield from _processors({"on_failure": options.get("on_failure")})


def _effect_of_processor(kind: str, options: _Options, ours: set[str]) -> Effect:
    written = [text for name, value in options.items() if name not in _READ | _NESTED for text in strings(value)]
    targets = [str(options[name]) for name in _TARGETS if name in options]
    names_another = any(_TEMPLATED in target for target in targets) or (
        kind == "pipeline" and _TEMPLATED in str(options.get("name"))
    )
    if kind == "date_index_name" or names_another or any(map(_INDEX.search, written)):
        return Effect.MOVES
    if kind not in _NAMING or any(name in text for name in ours for text in written):
        return Effect.CHANGES
    return Effect.NONE
