"""Repair on a real node: what lies is found and repaired, whoever writes meanwhile."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidecar.errors import EmbedderMisbehaved, EmbedderUnavailable
from sidecar.model import Binding, Role
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.ports import Embeddings, Lane, Reply
from sidecar.provenance import provenance_hash, source_text
from sidecar.repair.documents import Kind
from sidecar.repair.passes import Passes
from sidecar.repair.patience import Patience
from sidecar.repair.report import Outcome, Report
from sidecar.repair.scan import Scan, check
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template
from tests.support.embedders import HashEmbedder
from tests.support.http import ndjson
from tests.support.templates import TINY

RETRAINED = TINY.model_copy(update={"id": "tiny@2", "tokenizer": "3" * 64})
BASE = {
    "mappings": {
        "properties": {"title": {"type": "text"}, "abstract": {"type": "text"}, "number": {"type": "unsigned_long"}}
    },
    "settings": {"number_of_shards": 2, "number_of_replicas": 0},
}
STALE = [1.0, 0.0]


def silent(_more: int, _done: int) -> None:
    return


@dataclass
class Meddler(HashEmbedder):
    """An embedder during whose work something else happens."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        if self.meanwhile is not None:
            await self.meanwhile()
        return await super().embed(texts, role, model=model, expect_space=expect_space, lane=lane, timeout_s=timeout_s)


@dataclass
class Notes:
    """A bound index with two shards, and what repairs it."""

    cluster: OpenSearchCluster
    url: str
    index: str
    binding: Binding
    embedder: Meddler = field(default_factory=lambda: Meddler(TINY))

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self.cluster.call(method, path, body=body)
        assert reply.ok, reply.reason
        return reply.body

    async def bulk(self, *lines: object) -> None:
        answer = await self.call("POST", f"/{self.index}/_bulk", ndjson(*lines))
        assert not answer["errors"], answer

    async def put(self, **documents: dict[str, Any]) -> None:
        await self.bulk(*(line for name, d in documents.items() for line in ({"index": {"_id": name}}, d)))

    async def without_guard(self) -> None:
        await self.call("PUT", f"/{self.index}/_settings", {"index.final_pipeline": "_none"})

    def provenance(self, text: str, **changes: object) -> dict[str, object]:
        return {"hash": provenance_hash(text, self.binding), "about": {"model": TINY.id}, **changes}

    def scan(self) -> Scan:
        return Scan(self.cluster, Patience(5), silent)

    def repair(self, scan: Scan | None = None) -> Passes:
        return Passes(scan or self.scan(), self.embedder, Patience(5))

    async def repaired(self, *names: str) -> Report:
        scan = self.scan()
        return await self.repair(scan).repair_all(await scan.targets(names or (self.index,)))

    async def checked(self) -> Report:
        scan = self.scan()
        return await check(scan, await scan.targets((self.index,)))

    async def stored(self) -> dict[str, dict[str, Any]]:
        await self.call("POST", f"/{self.index}/_refresh")
        found = await self.call("POST", f"/{self.index}/_search", {"size": 1_000, "seq_no_primary_term": True})
        return {hit["_id"]: hit for hit in found["hits"]["hits"]}

    async def assert_right(self) -> None:
        """Every text has its own vector, and nothing else has one."""
        for hit in (await self.stored()).values():
            source = hit["_source"]
            text = source_text(source, self.binding)
            if text:
                assert source["embedding"] == pytest.approx(self.embedder.vector(text).tolist(), abs=1e-6)
                # An update says of a mark that there is none.
                told = {name: value for name, value in source["embedding_meta"].items() if value is not None}
                assert told == self.provenance(text, about={"model": TINY.id, "backend": "hash", "truncated": False})
            else:
                assert not any(key.startswith("embedding") for key in source)


def found(report: Report) -> dict[str, int]:
    return {kind.value: number for kind in Kind if (number := sum(i.found(kind) for i in report.indices))}


def outcomes(report: Report) -> dict[str, int]:
    return {one.value: number for one in Outcome if (number := sum(i.number(one) for i in report.indices))}


@pytest.fixture
async def notes(cluster: OpenSearchCluster, node_url: str, unique: str) -> AsyncIterator[Notes]:
    compiled = compile_template(unique, TINY, BASE, index_patterns=(f"{unique}-*",), source=("title", "abstract"))
    await apply(cluster, compiled)
    assert (await cluster.call("PUT", f"/{unique}-notes")).ok
    yield Notes(cluster, node_url, f"{unique}-notes", compiled.binding.fields["embedding"])
    await cluster.call("DELETE", f"/{unique}-*", params={"expand_wildcards": "all"})


def falsified(notes: Notes, number: int) -> dict[str, tuple[Kind, dict[str, Any]]]:
    """A document of each shape in which a lie gets in, by name."""
    text, vector = f"text {number}", {"embedding": STALE}
    title = {"title": text}
    shapes = {
        "plain": (Kind.NO_PROVENANCE, title),
        "vector-only": (Kind.NO_PROVENANCE, title | vector),
        "null": (Kind.NO_PROVENANCE, title | {"embedding": None, "embedding_meta": None}),
        "odd-state": (Kind.NO_PROVENANCE, title | vector | {"embedding_meta": notes.provenance(text, about=None)}),
        "dotted": (Kind.NO_PROVENANCE, title | vector | {"embedding_meta.pending": 1}),
        "stale": (Kind.HASH_DIFFERS, title | vector | {"embedding_meta": notes.provenance("before")}),
        "stale-client": (
            Kind.HASH_DIFFERS,
            title | vector | {"embedding_meta": notes.provenance("before", client=1)},
        ),
        "half": (Kind.HASH_DIFFERS, title | {"abstract": "new"} | vector | {"embedding_meta": notes.provenance(text)}),
        "other-model": (
            Kind.OTHER_MODEL,
            title | vector | {"embedding_meta": notes.provenance(text, about={"model": "big@1"})},
        ),
        "bare": (Kind.VECTOR_MISSING, title | {"embedding_meta": notes.provenance(text)}),
        "waiting": (Kind.PENDING, title | {"embedding_meta": notes.provenance(text, pending=1)}),
        "waiting-stale": (Kind.PENDING, title | vector | {"embedding_meta": {"hash": None, "pending": 1}}),
        "unchecked": (Kind.PENDING, title | {"number": 2**64 - 1, "embedding_meta": {"pending": 1}}),
        "no-text": (Kind.NO_TEXT, {"year": 1} | vector | {"embedding_meta": notes.provenance(text)}),
        "no-text-meta": (Kind.NO_TEXT, {"title": "", "embedding_meta": {"pending": 1}}),
        "no-text-vector": (Kind.NO_TEXT, {"title": None} | vector),
    }
    return {f"{name}-{number}": shape for name, shape in shapes.items()}


async def test_whatever_lies_is_found_and_repaired(notes: Notes) -> None:
    await notes.without_guard()
    lies = {name: shape for number in range(13) for name, shape in falsified(notes, number).items()}
    await notes.put(**{name: document for name, (_, document) in lies.items()})
    expected = Counter(kind.value for kind, _ in lies.values())

    before = await notes.checked()
    report = await notes.repaired()
    after = await notes.checked()

    assert len(lies) == 208
    assert found(before) == expected
    assert outcomes(before) == {"left": 208}
    assert found(report) == expected
    assert outcomes(report) == {"repaired": 208}
    assert [index.documents for index in report.indices] == [208]
    assert after.is_right
    assert found(after) == {}
    stored = await notes.stored()
    assert stored["unchecked-0"]["_source"]["number"] == 2**64 - 1
    assert stored["no-text-0"]["_source"] == {"year": 1}
    await notes.assert_right()


async def test_what_is_right_is_not_touched(notes: Notes) -> None:
    await notes.put(
        own={"title": "a", "embedding": STALE, "embedding_meta": notes.provenance("a", client=1)},
        ours={"title": "b", "embedding": STALE, "embedding_meta": notes.provenance("b")},
        none={"year": 1},
    )
    before = await notes.stored()

    assert (await notes.repaired()).is_right

    assert await notes.stored() == before
    assert notes.embedder.asked == []


async def test_a_bulk_update_behind_the_guards_back_is_found(notes: Notes) -> None:
    await notes.put(one={"title": "a", "year": 1, "embedding": STALE, "embedding_meta": notes.provenance("a")})
    await notes.bulk({"update": {"_id": "one"}}, {"doc": {"title": "b"}})

    report = await notes.repaired()

    assert (found(report), outcomes(report)) == ({"hash_differs": 1}, {"repaired": 1})
    await notes.assert_right()
    assert (await notes.stored())["one"]["_source"]["year"] == 1


async def test_an_index_that_is_bound_anew_gets_vectors_of_the_new_model(notes: Notes) -> None:
    await notes.put(**{name: {"title": name} for name in "abc"})
    await notes.repaired()
    notes.binding = notes.binding.model_copy(update={"model": RETRAINED.id, "space": RETRAINED.space})
    meta = (await notes.call("GET", f"/{notes.index}/_mapping"))[notes.index]["mappings"]["_meta"]["sidecar"]
    meta["fields"]["embedding"] |= {"model": RETRAINED.id, "space": RETRAINED.space}
    await notes.call("PUT", f"/{notes.index}/_mapping", {"_meta": {"sidecar": meta}})
    before = await notes.stored()

    refused = await notes.repaired()
    notes.embedder = Meddler(RETRAINED)
    report = await notes.repaired()

    assert not refused.is_right
    assert refused.indices[0].problem == "model [tiny@2] is not known here; known: tiny@1"
    assert (found(report), outcomes(report)) == ({"other_model": 3}, {"repaired": 3})
    after = await notes.stored()
    assert all(after[name]["_source"]["embedding_meta"]["about"]["model"] == "tiny@2" for name in "abc")
    assert all(after[name]["_seq_no"] > before[name]["_seq_no"] for name in "abc")


async def test_nothing_is_written_if_the_embedder_serves_another_space(notes: Notes) -> None:
    await notes.put(a={"title": "a"})
    before = await notes.stored()
    notes.embedder = Meddler(RETRAINED.model_copy(update={"id": TINY.id}))

    report = await notes.repaired()

    assert not report.is_right
    assert f"model [tiny@1] has space [{RETRAINED.space}]" in str(report.indices[0].problem)
    assert await notes.stored() == before


async def test_a_text_that_is_refused_loses_its_false_vector_and_is_reported_not_retried(notes: Notes) -> None:
    await notes.without_guard()
    notes.embedder.refuses = frozenset({"bad"})
    await notes.put(
        bad={"title": "bad", "embedding": STALE, "embedding_meta": notes.provenance("before")}, good={"title": "good"}
    )
    scan = notes.scan()
    repair, targets = notes.repair(scan), await scan.targets((notes.index,))

    report = await repair.repair_all(targets)
    notes.embedder.asked.clear()
    again = await repair.repair_pending(targets)

    assert outcomes(report) == {"repaired": 1, "failed": 1}
    assert [(one.id, one.field, one.reason) for one in report.indices[0].failures] == [("bad", "embedding", "refused")]
    assert (await notes.stored())["bad"]["_source"] == {
        "title": "bad",
        "embedding_meta": {"hash": provenance_hash("bad", notes.binding), "pending": 1},
    }
    assert notes.embedder.asked == []
    assert outcomes(again) == {}
    assert outcomes(await notes.repaired()) == {"failed": 1}  # said again by each run, and once


@dataclass
class Odd(Meddler):
    """An embedder whose replies cannot be used if a certain text is among those that it is asked for."""

    odd: str = ""

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        if self.odd in texts:
            raise EmbedderMisbehaved("a vector holds NaN or infinity")
        return await super().embed(texts, role, model=model, expect_space=expect_space, lane=lane, timeout_s=timeout_s)


async def test_a_text_that_the_embedder_fails_on_is_told_and_all_others_are_repaired(notes: Notes) -> None:
    notes.embedder = Odd(TINY, odd="text 7")
    await notes.put(**{f"d{number}": {"title": f"text {number}"} for number in range(30)})

    report = await notes.repaired()

    assert outcomes(report) == {"repaired": 29, "failed": 1}
    assert report.indices[0].problem is None
    (failure,) = report.indices[0].failures
    assert (failure.id, failure.reason) == ("d7", "the embedder's reply is not usable: a vector holds NaN or infinity")


async def test_an_embedder_that_fails_on_every_text_stops_the_index_and_changes_nothing(notes: Notes) -> None:
    notes.embedder = Odd(TINY, odd="text")
    await notes.put(**{f"d{number}": {"title": "text"} for number in range(3)})
    before = await notes.stored()

    report = await notes.repaired()

    assert report.indices[0].problem == "the embedder's reply is not usable: a vector holds NaN or infinity"
    assert await notes.stored() == before


@dataclass
class LiftsItsBlock:
    """A cluster whose index takes no writes until one was refused."""

    cluster: OpenSearchCluster
    index: str
    refused: int = 0

    async def call(self, method: str, path: str, **rest: Any) -> Reply:
        reply = await self.cluster.call(method, path, **rest)
        if path.endswith("/_bulk") and isinstance(reply.body, dict) and reply.body.get("errors"):
            self.refused += 1
            await self.cluster.call("PUT", f"/{self.index}/_settings", body={"index.blocks.write": None})
        return reply


async def test_an_index_that_takes_no_writes_is_waited_for(notes: Notes) -> None:
    await notes.put(a={"title": "a"})
    await notes.call("PUT", f"/{notes.index}/_settings", {"index.blocks.write": True})
    blocked = LiftsItsBlock(notes.cluster, notes.index)
    scan = Scan(blocked, Patience(5), silent)

    report = await notes.repair(scan).repair_all(await scan.targets((notes.index,)))

    assert (blocked.refused, outcomes(report)) == (1, {"repaired": 1})
    await notes.assert_right()


async def test_patience_with_an_embedder_that_is_away(notes: Notes) -> None:
    await notes.put(a={"title": "a"})
    notes.embedder.failure = away = EmbedderUnavailable("nowhere", "gone")
    calls = 0

    class Recovering(Meddler):
        async def models(self) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                self.failure = None
            return await super().models()

    impatient = Passes(notes.scan(), notes.embedder, Patience(0))
    targets = await notes.scan().targets((notes.index,))
    with pytest.raises(EmbedderUnavailable):
        await impatient.repair_all(targets)
    notes.embedder = Recovering(TINY, away)

    assert outcomes(await notes.repair().repair_all(targets)) == {"repaired": 1}
    assert calls == 2
