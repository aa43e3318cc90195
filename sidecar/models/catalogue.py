"""Models that are known by name (`catalogue.toml`), and the pinned versions of this release (`pinned/*.json`)."""

import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sidecar.model import ModelVersion, Prompts, SpaceType


class CatalogueEntry(BaseModel):
    """The facts about a model before its files are pinned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    description: str
    hub: str  # its name on the model hub
    package: str | None = None  # a Python package that holds its files
    dimension: int
    max_tokens: int
    pooling: Literal["mean", "cls", "max", "lasttoken"]
    normalized: bool
    space_type: SpaceType
    prompts: Prompts = Prompts()


@cache
def catalogue() -> dict[str, CatalogueEntry]:
    """The entries by name, in the order of the file."""
    text = resources.files(__package__).joinpath("catalogue.toml").read_text("utf-8")
    return {name: CatalogueEntry(name=name, **facts) for name, facts in tomllib.loads(text).items()}


@cache
def shipped_versions() -> dict[str, ModelVersion]:
    """The model versions whose hashes are part of this release, by id."""
    folder = resources.files(__package__).joinpath("pinned")
    versions = [
        ModelVersion.model_validate_json(file.read_bytes()) for file in folder.iterdir() if file.name.endswith(".json")
    ]
    return {version.id: version for version in sorted(versions, key=lambda version: version.id)}
