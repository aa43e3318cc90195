"""Nodes of a test's own, beside the one that all tests share."""

import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.config import load_configuration
from sidecar.opensearch.assembly import PLUGINS
from sidecar.opensearch.instance import Security
from sidecar.opensearch.local import start_node
from tests.conftest import RUN_DIRECTORY
from tests.support.waiting import run_to_its_end


@contextmanager
def node_of_its_own(plugins: Collection[str] = PLUGINS, security: Security | None = None) -> Iterator[str]:
    """The URL of a node with these plugins. It lives in no event loop, so that it may outlast a test."""
    settings = load_configuration().settings.node
    folder = Path(os.environ[RUN_DIRECTORY], f"node-{uuid.uuid4().hex[:10]}")
    starting = start_node(settings, port=0, data=folder, plugins=plugins, security=security, report=lambda _step: None)
    node = run_to_its_end(starting)
    try:
        yield node.url
    finally:
        run_to_its_end(node.stop())
