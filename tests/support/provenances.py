"""The provenance of stored documents, as tests read and write it."""

from typing import Any

from sidecar.model import Provenance


def state_of(document: Any, field: str = "embedding") -> str | None:
    """The state that a document tells of its vector. None if it tells none."""
    return Provenance.state_in(document.get(f"{field}_meta"))
