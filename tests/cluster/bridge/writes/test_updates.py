"""Updates through the bridge on a real node: the client sees no bridge, and each text has its own vector or a mark."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest

from sidecar.bridge.app import serving
from sidecar.config import BridgeSettings
from sidecar.errors import EmbedderUnavailable
from sidecar.model import IndexBinding, Role, SearchBinding, WritePolicy
from sidecar.models.catalogue import shipped_versions
from sidecar.ports import Lane
from sidecar.provenance import provenance_hash, source_text, well_formed
from tests.cluster.bridges import Papers
from tests.support.embedders import HashEmbedder
from tests.support.http import Answer, Http, http, ndjson
from tests.support.provenances import state_of

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
OURS = ("embedding", "embedding_meta")


@dataclass(frozen=True, slots=True)
class Bridged:
    """The papers behind a bridge whose vectors are a function of the text."""

    bridge: Http
    papers: Papers
    embedder: HashEmbedder

    async def states(self, index: str | None = None) -> dict[str, str]:
        """Of each document what its vector is worth: ok, client, pending or none. Fails if one is not what it says."""
        query = {"size": 1000, "query": {"match_all": {}}, "version": True}
        await self.papers.direct("POST", f"/{index or self.papers.index}/_refresh")
        found = await self.papers.direct("POST", f"/{index or self.papers.index}/_search", query)
        return {hit["_id"]: await self._state(hit["_source"]) for hit in found.json["hits"]["hits"]}

    async def _state(self, source: dict) -> str:
        text = source_text(source, self.papers.binding)
        vector, meta = source.get("embedding"), source.get("embedding_meta")
        if not text:
            assert vector is None
            assert meta is None
            return "none"
        state = state_of(source)
        assert state is not None, source
        if state == "pending":
            assert vector is None
            return "pending"
        assert meta["hash"] == provenance_hash(text, self.papers.binding), text
        if state == "ok":
            answer = await self.embedder.embed(
                [well_formed(text)], Role.PASSAGE, model=MINILM.id, lane=Lane.BULK, timeout_s=1
            )
            assert np.allclose(np.array(vector), answer.matrix[0], atol=1e-6)
        return str(state)


@pytest.fixture
async def bridged(papers: Papers) -> AsyncIterator[Bridged]:
    embedder = HashEmbedder(MINILM)
    settings = BridgeSettings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", upstream=papers.direct.url)
    async with serving(settings, embedder) as at, http(f"http://{at.address}") as (bridge,):
        yield Bridged(bridge, papers, embedder)


def plain(answer: Answer, index: str) -> object:
    """An answer without what differs between two indices and two moments."""

    def walk(value: object) -> object:
        if isinstance(value, dict):
            gone = ("took", "ingest_took", "_index", "index", "index_uuid", "_version", "_seq_no", "_shards", *OURS)
            return {key: walk(one) for key, one in value.items() if key not in gone}
        return [walk(one) for one in value] if isinstance(value, list) else value

    return answer.status, walk(json.loads(answer.body.replace(index.encode(), b"INDEX")))


DOCUMENTS = {
    "1": {"title": "Cats", "abstract": "purr", "year": 1},
    "2": {"title": "Dogs", "year": 2},
    "3": {"year": 3},
}
NEW = {"title": "Owls"}

Shape = tuple[dict[str, object], object, dict[str, str | None]]


def update(identifier: str, body: object, states: dict[str, str | None] | None = None, **parameters: object) -> Shape:
    """The parameters and the body of an update, and the states of the documents that end otherwise than they began."""
    return {"_id": identifier, **parameters}, body, states or {}


# One index holds the documents of all shapes, under ids of their own: an index each would cost a minute.
SHAPES: dict[str, Shape] = {
    "one of two sources": update("1", {"doc": NEW}),
    "no source": update("1", {"doc": {"year": 9}}),
    "the same text is a noop": update("1", {"doc": {"title": "Cats"}}),
    "no noop by wish": update("1", {"doc": {"title": "Cats"}, "detect_noop": False}),
    "the first text": update("3", {"doc": NEW}, {"3": "ok"}),
    "the only text is taken out": update("2", {"doc": {"title": None}}, {"2": "none"}),
    "one of two texts is taken out": update("1", {"doc": {"title": None}}),
    "a list of texts": update("1", {"doc": {"title": ["Owls", "hoot"]}}),
    "a missing document": update("9", {"doc": NEW}),
    "doc_as_upsert, document exists": update("1", {"doc": NEW, "doc_as_upsert": True}),
    "doc_as_upsert, new": update("9", {"doc": NEW, "doc_as_upsert": True}, {"9": "ok"}),
    "upsert without text": update("9", {"doc": {"year": 1}, "doc_as_upsert": True}, {"9": "none"}),
    "doc and upsert, exists": update("1", {"doc": NEW, "upsert": {"title": "Bees"}}),
    "doc and upsert, new": update("9", {"doc": NEW, "upsert": {"title": "Bees"}}, {"9": "ok"}),
    "only the upsert has a text": update("9", {"doc": {"year": 1}, "upsert": NEW}, {"9": "ok"}),
    "an upsert that is not needed": update("1", {"doc": {"year": 1}, "upsert": NEW}),
    "script, another field": update("1", {"script": "ctx._source.year = 7"}),
    "script, the text": update("1", {"script": "ctx._source.title = 'x'"}, {"1": "pending"}),
    "script, nothing": update("1", {"script": "ctx.op = 'none'"}),
    "script, deletes": update("1", {"script": "ctx.op = 'delete'"}, {"1": None}),
    "script, not valid": update("1", {"script": "no("}),
    "script, missing document": update("9", {"script": "ctx._source.year = 7"}),
    "script and upsert, new": update("9", {"script": "ctx._source.year = 7", "upsert": NEW}, {"9": "ok"}),
    "scripted_upsert, new": update(
        "9", {"script": "ctx._source.title = 'x'", "upsert": {}, "scripted_upsert": True}, {"9": "pending"}
    ),
    "scripted_upsert of a text, new": update(
        "9", {"script": "ctx._source.year = 7", "upsert": NEW, "scripted_upsert": True}, {"9": "ok"}
    ),
    "retry_on_conflict": update("1", {"doc": NEW}, retry_on_conflict=3),
    "the client's guard, wrong": update("1", {"doc": NEW}, if_seq_no=77, if_primary_term=1),
    "guarded script": update("1", {"script": "ctx._source.year = 7"}, if_seq_no=77, if_primary_term=1),
    "guarded upsert": update("1", {"doc": NEW, "doc_as_upsert": True}, if_seq_no=0, if_primary_term=1),
    "require_alias": update("1", {"doc": NEW}, require_alias=True),
    "_source in the body": update("1", {"doc": NEW, "_source": ["title"]}),
    "script, _source": update("1", {"script": "ctx._source.year = 7", "_source": ["year"]}),
    "routing": update("9", {"doc": NEW, "doc_as_upsert": True}, {"9": "ok"}, routing="x"),
    "not an update": update("1", {"dok": NEW}),
    "doc and script": update("1", {"doc": NEW, "script": "x"}),
}


@pytest.mark.parametrize("way", ["bulk", "single"])
async def test_an_update_is_answered_and_stored_as_if_there_were_no_bridge(bridged: Bridged, way: str) -> None:
    through, direct = bridged.papers.index, f"{bridged.papers.index}-direct"
    lines = [
        line
        for number in range(len(SHAPES))
        for identifier, document in DOCUMENTS.items()
        for line in ({"index": {"_id": f"{number}-{identifier}"}}, document)
    ]
    expected: dict[str, str | None] = {}
    for index in (through, direct):
        assert not (await bridged.bridge("POST", f"/{index}/_bulk", ndjson(*lines))).json["errors"]
    sent: object
    for number, (name, (parameters, body, states)) in enumerate(SHAPES.items()):
        expected |= {f"{number}-{key}": state for key, state in ({"1": "ok", "2": "ok", "3": "none"} | states).items()}
        if way == "bulk":
            path, sent = "_bulk", ndjson({"update": {**parameters, "_id": f"{number}-{parameters['_id']}"}}, body)
        else:
            query = "&".join(f"{key}={str(value).lower()}" for key, value in parameters.items() if key != "_id")
            path, sent = f"_update/{number}-{parameters['_id']}?{query}", body

        answers = [
            plain(await http("POST", f"/{index}/{path}", sent), index)
            for http, index in ((bridged.bridge, through), (bridged.papers.direct, direct))
        ]

        assert answers[0] == answers[1], name
    assert await bridged.states(through) == {key: state for key, state in expected.items() if state is not None}
    assert await _shown(bridged, through) == await _shown(bridged, direct)


async def _shown(bridged: Bridged, index: str) -> dict[str, object]:
    """The documents without our fields; a text that was taken out is null either way."""
    query = {"size": 1000, "_source": {"excludes": list(OURS)}}
    await bridged.papers.direct("POST", f"/{index}/_refresh")
    found = await bridged.papers.direct("POST", f"/{index}/_search", query)
    return {hit["_id"]: hit["_source"] for hit in found.json["hits"]["hits"]}


SHOWN: dict[str, tuple[str, object, object]] = {  # the `_source` of the URL, the action line and the body
    "nothing": ("", None, None),
    "all, by body": ("", None, True),
    "names, by body": ("", None, ["title", "y*"]),
    "all but, by body": ("", None, {"excludes": ["title"]}),
    "nothing, by body": ("", None, False),
    "all, by URL": ("_source=true", None, ["title"]),
    "names, by URL": ("_source=title,y*", None, None),
    "kinds of names, by URL": ("_source_includes=t*,embedding*&_source_excludes=year", None, None),
    "nothing, by URL": ("_source=false", None, True),
    "all, by action line": ("_source=title", True, None),
    "names, by action line": ("_source=true", {"include": ["title", "e*"]}, True),
    "nothing, by action line": ("_source=true", False, True),
}


@pytest.mark.parametrize("change", [NEW, {"year": 9}], ids=["of a text", "of something else"])
async def test_an_update_shows_of_its_document_what_it_would_without_our_fields(
    bridged: Bridged, change: dict[str, object]
) -> None:
    base = bridged.papers.index
    for name, (query, of_line, of_body) in SHOWN.items():
        asked = {} if of_body is None else {"_source": of_body}
        action = {"_id": "1"} | ({} if of_line is None else {"_source": of_line})
        set_all = {"script": {"source": "ctx._source.putAll(params)", "params": change}}
        requests = [
            (f"_bulk?{query}", ndjson({"update": action}, {"doc": change, **asked})),
            (f"_bulk?{query}", ndjson({"update": action}, {**set_all, **asked})),
            (
                f"_bulk?{query}",
                ndjson({"index": {"_id": "2"}}, {"year": 1}, {"update": action}, {"doc": change} | asked),
            ),
        ]
        if of_line is None:
            requests.append((f"_update/1?{query}", {"doc": change, **asked}))
        for path, body in requests:
            answers = []
            for ask, index in ((bridged.bridge, base), (bridged.papers.direct, f"{base}-direct")):
                await bridged.bridge("PUT", f"/{index}/_doc/1", DOCUMENTS["1"])
                answers.append(await ask("POST", f"/{index}/{path}", body))

            through, direct = (plain(answer, base) for answer in answers)
            assert through == plain(answers[1], f"{base}-direct"), (name, path, direct)
            assert not any(field in answers[0].body.decode() for field in OURS), (name, path)


async def test_our_fields_are_shown_to_those_who_ask(bridged: Bridged) -> None:
    await bridged.bridge("PUT", f"/{bridged.papers.index}/_doc/1", DOCUMENTS["1"])

    single = await bridged.bridge("POST", f"/{bridged.papers.index}/_update/1?_source=embedding_meta", {"doc": NEW})
    lines = ndjson({"update": {"_id": "1"}}, {"doc": {"title": "Bees"}, "_source": True})
    bulk = await bridged.bridge("POST", f"/{bridged.papers.index}/_bulk", lines, X_Sidecar_Source="1")

    assert single.json["get"]["_source"].keys() == {"embedding_meta"}
    assert bulk.json["items"][0]["update"]["get"]["_source"].keys() == {*DOCUMENTS["1"], *OURS}


async def test_an_update_that_is_tried_again_counts_once(bridged: Bridged, monkeypatch: pytest.MonkeyPatch) -> None:
    index, rivals, embed = bridged.papers.index, iter(range(2)), bridged.embedder.embed
    await bridged.bridge("PUT", f"/{index}/_doc/1", DOCUMENTS["1"])

    async def beside_a_rival(*args: object, **options: object) -> object:
        if (rival := next(rivals, None)) is not None:
            await bridged.papers.direct("POST", f"/{index}/_update/1", {"doc": {"year": 100 + rival}})
        return await embed(*args, **options)

    monkeypatch.setattr(bridged.embedder, "embed", beside_a_rival)
    lines = ndjson({"update": {"_id": "1"}}, {"doc": NEW}, {"index": {"_id": "2"}}, NEW)
    answer = await bridged.bridge("POST", f"/{index}/_bulk", lines)

    assert (answer.json["errors"], answer.ingested) == (False, (2, 0))
    assert (await bridged.papers.stored("1"))["year"] == 101


async def test_a_clients_own_guard_that_is_right_lets_the_update_happen(bridged: Bridged) -> None:
    path = f"/{bridged.papers.index}/_doc/1"
    written = (await bridged.bridge("PUT", path, DOCUMENTS["1"])).json
    for number, title in enumerate(("Owls", "Bees")):
        guard = {"if_seq_no": written["_seq_no"] + number, "if_primary_term": written["_primary_term"]}
        answer = await bridged.bridge(
            "POST",
            f"/{bridged.papers.index}/_bulk",
            ndjson({"update": {"_id": "1", **guard}}, {"doc": {"title": title}}),
        )
        assert answer.json["items"][0]["update"]["result"] == "updated"

    assert await bridged.states() == {"1": "ok"}


async def test_updates_of_one_document_in_one_bulk_happen_in_order(bridged: Bridged) -> None:
    lines = [
        {"index": {"_id": "1"}}, {"title": "a"},
        {"update": {"_id": "1"}}, {"doc": {"abstract": "b"}},
        {"update": {"_id": "1"}}, {"script": "ctx._source.year = 4"},
        {"update": {"_id": "1"}}, {"doc": {"title": "c"}},
        {"delete": {"_id": "1"}},
        {"update": {"_id": "1"}}, {"doc": {"title": "d"}},
        {"update": {"_id": "1"}}, {"doc": {"title": "e"}, "doc_as_upsert": True},
        {"create": {"_id": "1"}}, {"title": "f"},
        {"update": {"_id": "1"}}, {"doc": {"abstract": "g"}},
    ]  # fmt: skip
    path = "_bulk?refresh=true&filter_path=items.*.status,errors&format=json&pretty"

    answer = await bridged.bridge("POST", f"/{bridged.papers.index}/{path}", ndjson(*lines))
    direct = await bridged.papers.direct("POST", f"/{bridged.papers.index}-direct/{path}", ndjson(*lines))

    assert plain(answer, bridged.papers.index) == plain(direct, f"{bridged.papers.index}-direct")
    assert [item[next(iter(item))]["status"] for item in answer.json["items"]] == [
        201, 200, 200, 200, 200, 404, 201, 409, 200,
    ]  # fmt: skip
    assert await bridged.states() == {"1": "ok"}
    stored = await bridged.papers.stored("1")
    assert (stored["title"], stored["abstract"]) == ("e", "g")


async def test_through_an_alias_with_a_routing_the_right_document_is_read(bridged: Bridged) -> None:
    alias = f"{bridged.papers.index}-routed"
    actions = [{"add": {"index": bridged.papers.index, "alias": alias, "routing": "r", "is_write_index": True}}]
    await bridged.bridge("POST", "/_aliases", {"actions": actions})
    await bridged.bridge("PUT", f"/{alias}/_doc/1", DOCUMENTS["1"])

    bulk = await bridged.bridge("POST", f"/{alias}/_bulk", ndjson({"update": {"_id": "1"}}, {"doc": {"title": "Owls"}}))
    single = await bridged.bridge("POST", f"/{alias}/_update/1?require_alias=true", {"doc": {"abstract": "hoot"}})

    assert (bulk.ingested, single.ingested) == ((1, 0), (1, 0))
    assert await bridged.states() == {"1": "ok"}


@pytest.mark.parametrize("way", ["bulk", "single"])
async def test_a_clients_own_vector_in_an_update_is_kept_and_marked(bridged: Bridged, way: str) -> None:
    vector = [1.0] + [0.0] * (MINILM.dimension - 1)
    await bridged.bridge("PUT", f"/{bridged.papers.index}/_doc/1", DOCUMENTS["1"])
    body = {"doc": {"title": "Owls", "embedding": vector}}

    if way == "bulk":
        await bridged.bridge("POST", f"/{bridged.papers.index}/_bulk", ndjson({"update": {"_id": "1"}}, body))
    else:
        await bridged.bridge("POST", f"/{bridged.papers.index}/_update/1", body)

    assert await bridged.states() == {"1": "client"}
    assert (await bridged.papers.stored("1"))["embedding"] == vector


async def test_without_the_embedder_an_update_is_marked_or_refused(bridged: Bridged) -> None:
    index, binding = bridged.papers.index, bridged.papers.binding
    for identifier in ("1", "2"):
        await bridged.bridge("PUT", f"/{index}/_doc/{identifier}", DOCUMENTS["1"])
    bridged.embedder.failure = EmbedderUnavailable("h:1", "refused")
    requests = (
        ("_bulk", ndjson({"update": {"_id": "1"}}, {"doc": {"title": "Owls"}})),
        ("_update/2", {"doc": {"title": "Owls"}}),
    )

    marked = [await bridged.bridge("POST", f"/{index}/{path}", body) for path, body in requests]
    assert [answer.ingested for answer in marked] == [(0, 1), (0, 1)]
    assert await bridged.states() == {"1": "pending", "2": "pending"}
    for identifier in ("1", "2"):
        meta = (await bridged.papers.stored(identifier))["embedding_meta"]
        assert meta["hash"] == provenance_hash("Owls\npurr", binding)

    rejecting = binding.model_copy(update={"write": WritePolicy(on_failure="reject")})
    block = IndexBinding(fields={"embedding": rejecting}, search=SearchBinding(field="embedding")).to_meta()
    await bridged.bridge("PUT", f"/{index}/_mapping", {"_meta": {"sidecar": block}})
    before = await _shown(bridged, index)
    refused = [await bridged.bridge("POST", f"/{index}/{path}", body) for path, body in requests]
    item = refused[0].json["items"][0]["update"]
    assert (refused[0].status, item["status"], refused[1].status) == (200, 429, 429)
    assert await _shown(bridged, index) == before


async def test_beside_rivals_that_write_directly_no_vector_is_of_another_text(bridged: Bridged) -> None:
    index, ids = bridged.papers.index, ("1", "2", "3")
    for identifier in ids:
        await bridged.bridge("PUT", f"/{index}/_doc/{identifier}", DOCUMENTS["1"])

    async def write(http: Http, name: str, field: str) -> list[dict]:
        answers = []
        for round_ in range(15):
            lines = [line for key in ids for line in ({"update": {"_id": key}}, {"doc": {field: f"{name} {round_}"}})]
            answers.append((await http("POST", f"/{index}/_bulk", ndjson(*lines))).json)
        return answers

    async def rival() -> None:
        for round_ in range(30):  # a single update: the guard sees it
            body = {"doc": {"abstract": f"rival {round_}"}}
            await bridged.papers.direct("POST", f"/{index}/_update/{ids[round_ % 3]}?retry_on_conflict=9", body)

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(write(bridged.bridge, "first", "title")),
            group.create_task(write(bridged.bridge, "second", "title")),
        ]
        group.create_task(rival())

    assert [answer["errors"] for task in tasks for answer in task.result()] == [False] * 30
    assert set((await bridged.states()).values()) <= {"ok", "pending"}
