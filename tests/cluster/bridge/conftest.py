"""The secured node, which one worker of a run shares among all its tests."""

from tests.cluster.bridge.securing import secured, way

__all__ = ["secured", "way"]
