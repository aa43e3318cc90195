"""Clients that know nothing of us write through the bridge as their manuals say: opensearch-py's helpers, and curl."""

import asyncio
import gzip
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import AsyncOpenSearch, OpenSearch
from opensearchpy.helpers import (
    BulkIndexError,
    async_bulk,
    async_streaming_bulk,
    bulk,
    parallel_bulk,
    streaming_bulk,
)

from sidecar.bridge.app import serving
from sidecar.errors import EmbedderUnavailable
from sidecar.model import IndexBinding, Role, SearchBinding, WritePolicy
from sidecar.models.catalogue import shipped_versions
from sidecar.ports import Embeddings, Lane
from sidecar.rpc.client import EmbedderClient
from tests.cluster.bridges import Papers, expect_every_vector
from tests.support.between import bridge_settings, broken_promises, stored
from tests.support.embedders import HashEmbedder
from tests.support.http import ndjson
from tests.support.provenances import state_of

MINILM = shipped_versions()["all-minilm-l6-v2@1"]

Action = dict[str, Any]
Outcome = tuple[bool, str, str, int, str | None]  # whether it succeeded, id, operation, status, result or type of error
Helper = Callable[[str, Iterable[Action]], list[Outcome]]


def indexed() -> list[Action]:
    return [
        {"_op_type": "create" if n % 5 == 0 else "index", "_id": str(n), "title": f"Passage {n}", "abstract": "of many"}
        for n in range(60)
    ]


def changed() -> list[Action]:
    """Each of another document, as parallel_bulk keeps no order between chunks; two of them fail."""
    return [
        *({"_op_type": "update", "_id": str(n), "doc": {"title": f"Changed {n}"}} for n in range(10)),
        *({"_op_type": "update", "_id": str(n), "doc": {"year": n}} for n in range(10, 20)),
        *({"_op_type": "delete", "_id": str(n)} for n in range(20, 30)),
        {"_op_type": "update", "_id": "30", "doc": {"title": "Thirty"}, "doc_as_upsert": True},
        {"_op_type": "update", "_id": "new", "doc": {"title": "Brand new"}, "doc_as_upsert": True},
        {"_op_type": "update", "_id": "31", "script": {"source": "ctx._source.year = 31"}},
        {"_op_type": "create", "_id": "32", "title": "is there already"},
        {"_op_type": "update", "_id": "missing", "doc": {"title": "is not there"}},
        {"_id": "33", "title": ["an array", "of texts"], "abstract": None},
    ]


def of(index: str, actions: Iterable[Action]) -> list[Action]:
    return [{"_index": index, **action} for action in actions]


def outcome(ok: bool, item: dict[str, Any]) -> Outcome:
    ((operation, about),) = item.items()
    error = about.get("error")
    return ok, about["_id"], operation, about["status"], error["type"] if error else about.get("result")


def outcomes(results: Iterable[tuple[bool, dict[str, Any]]]) -> list[Outcome]:
    return sorted(outcome(ok, item) for ok, item in results)


def with_streaming(url: str, actions: Iterable[Action]) -> list[Outcome]:
    with OpenSearch(url) as client:
        return outcomes(streaming_bulk(client, actions, chunk_size=25, raise_on_error=False))


def with_streaming_compressed(url: str, actions: Iterable[Action]) -> list[Outcome]:
    with OpenSearch(url, http_compress=True) as client:
        return outcomes(streaming_bulk(client, actions, max_chunk_bytes=2_000, raise_on_error=False))


def with_threads(url: str, actions: Iterable[Action]) -> list[Outcome]:
    with OpenSearch(url) as client:
        return outcomes(parallel_bulk(client, actions, thread_count=4, chunk_size=10, raise_on_error=False))


def with_asyncio(url: str, actions: Iterable[Action]) -> list[Outcome]:
    async def run() -> list[Outcome]:
        async with AsyncOpenSearch(url) as client:
            found = async_streaming_bulk(client, actions, chunk_size=25, raise_on_error=False)
            return outcomes([pair async for pair in found])

    return asyncio.run(run())


@pytest.mark.parametrize(
    "helper",
    [
        pytest.param(with_streaming, id="streaming_bulk"),
        pytest.param(with_streaming_compressed, id="streaming_bulk, gzip, small chunks"),
        pytest.param(with_threads, id="parallel_bulk"),
        pytest.param(with_asyncio, id="async_streaming_bulk"),
    ],
)
async def test_a_helper_is_told_what_the_cluster_would_tell_it_and_every_text_has_its_vector(
    papers: Papers, embedder: EmbedderClient, unique: str, helper: Helper
) -> None:
    for actions in (indexed(), changed()):
        direct = await asyncio.to_thread(helper, papers.direct.url, of(f"{unique}-plain", actions))
        through = await asyncio.to_thread(helper, papers.bridge.url, of(papers.index, actions))
        assert through == direct

    assert sum(not ok for ok, *_ in through) == 2
    await expect_every_vector(papers, embedder, count=51)


async def test_bulk_and_async_bulk_count_what_succeeded(papers: Papers, embedder: EmbedderClient) -> None:
    actions = of(papers.index, indexed())

    def run() -> Any:
        with OpenSearch(papers.bridge.url) as client:
            return bulk(client, actions[:30], stats_only=True)

    assert await asyncio.to_thread(run) == (30, 0)
    async with AsyncOpenSearch(papers.bridge.url) as client:
        assert await async_bulk(client, actions[30:]) == (30, [])
    await expect_every_vector(papers, embedder, count=60)


async def test_a_helper_raises_for_the_items_that_failed_and_only_for_those(
    papers: Papers, embedder: EmbedderClient
) -> None:
    actions = of(papers.index, [{"_op_type": "create", "_id": n, "title": f"Passage {n}"} for n in "121"])

    def run() -> None:
        with OpenSearch(papers.bridge.url) as client:
            bulk(client, actions)

    with pytest.raises(BulkIndexError, match=r"^\('1 document\(s\) failed to index\.'") as raised:
        await asyncio.to_thread(run)

    (failed,) = raised.value.errors
    assert (failed["create"]["_id"], failed["create"]["status"]) == ("1", 409)
    assert failed["create"]["error"]["type"] == "version_conflict_engine_exception"
    assert failed["create"]["data"] == {"title": "Passage 1"}
    await expect_every_vector(papers, embedder, count=2)


@dataclass
class Faltering(HashEmbedder):
    """Fails the calls of these numbers, counted from 1."""

    fails: frozenset[int] = field(default_factory=frozenset)

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        self.failure = EmbedderUnavailable("hash", "the test wants it") if len(self.asked) + 1 in self.fails else None
        return await super().embed(texts, role, model=model, expect_space=expect_space, lane=lane, timeout_s=timeout_s)


@asynccontextmanager
async def rather_refusing(papers: Papers, embedder: Faltering) -> AsyncIterator[str]:
    """The address of a bridge that refuses what it cannot embed."""
    binding = papers.binding.model_copy(update={"write": WritePolicy(on_failure="reject")})
    block = IndexBinding(fields={"embedding": binding}, search=SearchBinding(field="embedding")).to_meta()
    assert (await papers.direct("PUT", f"/{papers.index}/_mapping", {"_meta": {"sidecar": block}})).status == 200
    async with serving(bridge_settings(papers.direct.url), embedder) as at:
        yield f"http://{at.address}"


@pytest.mark.parametrize(
    ("fails", "asked"),
    [
        # The update can be embedded only after the document has been written: it is refused alone.
        pytest.param(2, [("Cats",), ("Dogs",), ("Dogs",)], id="one item"),
        pytest.param(1, [("Cats",), ("Cats",), ("Dogs",)], id="the whole request"),
    ],
)
async def test_what_is_refused_with_429_is_retried_by_a_helper_and_nothing_else_is(
    papers: Papers, fails: int, asked: list[tuple[str, ...]]
) -> None:
    embedder = Faltering(MINILM, fails=frozenset({fails}))
    actions: list[Action] = [
        {"_op_type": "create", "_id": "1", "title": "Cats"},
        {"_op_type": "update", "_id": "1", "doc": {"title": "Dogs"}},
    ]

    async with rather_refusing(papers, embedder) as url, AsyncOpenSearch(url) as client:
        found = await async_bulk(
            client, of(papers.index, actions), max_retries=1, initial_backoff=0, raise_on_error=False
        )

    assert found == (2, [])
    assert embedder.asked == asked
    documents = await stored(papers.direct, papers.index)
    assert (documents["1"]["title"], state_of(documents["1"])) == ("Dogs", "ok")
    assert broken_promises(documents, papers.binding, embedder) == []


GZIP = ("-H", "Content-Encoding: gzip")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(
    ("options", "is_compressed"),
    [
        pytest.param(("--data-binary", "@FILE"), False, id="from a file"),
        pytest.param(("--data-binary", "@FILE", *GZIP), True, id="gzip"),
        pytest.param(("--data-binary", "@FILE", *GZIP, "--compressed"), True, id="gzip both ways"),
        pytest.param(("-T", "-", "-X", "POST", *GZIP), True, id="gzip from a pipe, chunked"),
        pytest.param(("--data-binary", "@FILE", "-H", "Expect: 100-continue"), False, id="asks before it sends"),
    ],
)
async def test_curl(
    papers: Papers, embedder: EmbedderClient, tmp_path: Path, options: tuple[str, ...], is_compressed: bool
) -> None:
    lines = ndjson(*(line for n in range(20) for line in ({"index": {"_id": str(n)}}, {"title": f"Passage {n}"})))
    body = gzip.compress(lines) if is_compressed else lines
    file = tmp_path / "bulk"
    file.write_bytes(body)

    curl = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "--fail-with-body", *(option.replace("FILE", str(file)) for option in options)),
        *("-H", "Content-Type: application/x-ndjson", f"{papers.bridge.url}/{papers.index}/_bulk?filter_path=errors"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await curl.communicate(body)

    assert (curl.returncode, printed) == (0, b'{"errors":false}')
    await expect_every_vector(papers, embedder, count=20)
