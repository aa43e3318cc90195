"""A bulk that the bridge cuts is refused whole for one bad line, as the cluster refuses it that gets it whole."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.bridge.app import serving
from sidecar.bridge.writes import bulk_preparation as preparing
from tests.cluster.bridge.writes.test_updates import (
    MINILM,
    NEW,
    Bridged,
    bridged,  # noqa: F401 - a fixture
)
from tests.cluster.bridges import Papers
from tests.support.between import bridge_settings
from tests.support.embedders import HashEmbedder
from tests.support.http import Answer, Http, http, ndjson
from tests.support.scripted import scripted

BAD_LINES: dict[str, bytes] = {
    "a negative version": ndjson({"index": {"_id": "b", "version": -5}}, NEW),
    "a version without its type": ndjson({"create": {"_id": "b", "version": 5}}, NEW),
    "an unknown version type": ndjson({"index": {"_id": "b", "version": 5, "version_type": "none"}}, NEW),
    "a version of an update": ndjson({"update": {"_id": "b", "version": 5}}, {"doc": NEW}),
    "a version of a script": ndjson({"update": {"_id": "b", "version": 5}}, {"script": "ctx._source.year = 1"}),
    "half a guard": ndjson({"index": {"_id": "b", "if_seq_no": 5}}, NEW),
    "half a guard of a script": ndjson({"update": {"_id": "b", "if_seq_no": 5}}, {"script": "ctx._source.year = 1"}),
    "a guard with retries": ndjson(
        {"update": {"_id": "b", "if_seq_no": 5, "if_primary_term": 1, "retry_on_conflict": 2}}, {"doc": NEW}
    ),
    "a guard with an upsert": ndjson(
        {"update": {"_id": "b", "if_seq_no": 5, "if_primary_term": 1}}, {"doc": NEW, "upsert": NEW}
    ),
    "retries that are no number": ndjson({"update": {"_id": "b", "retry_on_conflict": "x"}}, {"doc": NEW}),
    "a script beside a doc": ndjson({"update": {"_id": "b"}}, {"script": "ctx._source.year = 1", "doc": NEW}),
    "neither script nor doc": ndjson({"update": {"_id": "b"}}, {}),
    "a doc that is no object": ndjson({"update": {"_id": "b"}}, {"doc": 5}),
    "a script that is a number": ndjson({"update": {"_id": "b"}}, {"script": 5}),
    "an unknown key of an update": ndjson({"update": {"_id": "b"}}, {"dok": NEW}),
    "a flag that is none": ndjson({"update": {"_id": "b"}}, {"doc": NEW, "doc_as_upsert": "x"}),
    "an update that is no JSON": b'{"update":{"_id":"b"}}\n{"doc":\n',
    "a doubled doc": b'{"update":{"_id":"b"}}\n{"doc":{"title":"a"},"doc":{"title":"b"}}\n',
    "a doubled id": b'{"index":{"_id":"b","_id":"c"}}\n{"title":"a"}\n',
    "a doubled id of an update": b'{"update":{"_id":"b","_id":"c"}}\n{"doc":{"title":"a"}}\n',
    "a doubled id of a script": b'{"update":{"_id":"b","_id":"c"}}\n{"script":"ctx._source.year = 1"}\n',
    "a doubled number of retries": b'{"update":{"_id":"b","retry_on_conflict":1,"retry_on_conflict":2}}\n{"doc":{}}\n',
    "an update without an id": ndjson({"update": {}}, {"doc": NEW}),
    "a delete without an id": ndjson({"delete": {}}),
    "a long id": ndjson({"index": {"_id": "x" * 513}}, NEW),
    "an id that is a list": ndjson({"index": {"_id": ["b"]}}, NEW),
    "an unknown action": ndjson({"insert": {"_id": "b"}}, NEW),
    "an unknown parameter": ndjson({"index": {"_idd": "b"}}, NEW),
    "a type": ndjson({"index": {"_id": "b", "_type": "t"}}, NEW),
    "an action that is no object": ndjson({"index": 5}, NEW),
    "an action that is no JSON": b"index b\n" + ndjson(NEW),
    "no source": ndjson({"index": {"_id": "b"}}) + b"\n" + ndjson(NEW),
}
TEXTS = ndjson(*(line for n in range(6) for line in ({"index": {"_id": f"t{n}"}}, {"title": f"Passage {n}"})))
CUTS: dict[str, bytes] = {
    "by size": TEXTS,
    "by scripts": TEXTS + ndjson({"update": {"_id": "t1"}}, {"script": "ctx._source.year = 1"}),
    "by updates": ndjson(
        {"index": {"_id": "t1"}}, {"year": 1}, {"update": {"_id": "t1"}}, {"doc": NEW, "doc_as_upsert": True},
        {"update": {"_id": "t1"}}, {"doc": {"title": "Bees"}},
    ),
}  # fmt: skip


async def outcomes(at: Bridged, body: bytes, query: str = "", **headers: str) -> list[tuple[int, object, object]]:
    """For the same bulk through the bridge and directly: the status, the error, and what is stored then."""
    found = []
    for ask, index in ((at.bridge, at.papers.index), (at.papers.direct, f"{at.papers.index}-direct")):
        answer = await ask("POST", f"/{index}/_bulk{query}", body, **headers)
        found.append((answer.status, told(answer, index), await stored(at.papers.direct, index)))
    return found


@asynccontextmanager
async def through(upstream: str) -> AsyncIterator[Http]:
    async with (
        serving(bridge_settings(upstream), HashEmbedder(MINILM)) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        yield bridge


def told(answer: Answer, index: str) -> object:
    error = json.loads(answer.body.replace(index.encode(), b"INDEX")).get("error")
    return (error["type"], error["reason"]) if isinstance(error, dict) else error


async def stored(direct: Http, index: str) -> object:
    await direct("POST", f"/{index}/_refresh?ignore_unavailable=true")
    return (await direct("GET", f"/{index}/_search?ignore_unavailable=true&filter_path=hits.hits._id")).json


@pytest.mark.parametrize("cut", CUTS)
async def test_one_bad_line_anywhere_refuses_a_bulk_that_is_cut(
    bridged: Bridged, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 200 if cut == "by size" else 1_000_000)
    differences = {}
    for name, line in BAD_LINES.items():
        for place, body in (("last", CUTS[cut] + line), ("first", line + CUTS[cut])):
            through, direct = await outcomes(bridged, body)
            assert direct[0] == 400, (name, direct)
            assert direct[2] == {}, name
            if through != direct:
                differences[name, place] = through, direct
    assert differences == {}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        pytest.param("?unknown=1", {}, id="an unknown parameter"),
        pytest.param("?refresh=perhaps", {}, id="a parameter without a meaning"),
        pytest.param("?timeout=soon", {}, id="a time that is none"),
        pytest.param("?pretty=perhaps", {}, id="a flag that is none"),
        pytest.param("", {"Content_Type": "text/plain"}, id="another content type"),
        pytest.param("", {"Content_Type": ""}, id="no content type"),
    ],
)
async def test_a_fault_of_the_request_itself_refuses_a_bulk_that_is_cut(
    bridged: Bridged, monkeypatch: pytest.MonkeyPatch, cut: str, query: str, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 200 if cut == "by size" else 1_000_000)

    through, direct = await outcomes(bridged, CUTS[cut], query, **headers)

    assert through == direct
    assert direct[0] in (400, 406)


@pytest.mark.parametrize(
    ("tail", "status"),
    [
        pytest.param(b"", 200, id="nothing"),
        pytest.param(b'{"index":{"_id":"d"}}\n', 200, id="an action without its source"),
        pytest.param(b'{"update":{"_id":"d"}}\n', 200, id="an update without its source"),
        pytest.param(b"\n \n", 200, id="blank lines"),
        pytest.param(b'{"index":{"_id":"d"}}\n{"title":"x"}', 400, id="no line end"),
        pytest.param(b'{"index":{"_idd":"d"}}\n', 400, id="a bad action without its source"),
    ],
)
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("cut", CUTS)
async def test_the_end_of_a_bulk_that_is_cut_is_read_as_the_cluster_reads_it(
    bridged: Bridged, monkeypatch: pytest.MonkeyPatch, cut: str, *, is_packed: bool, tail: bytes, status: int
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 200 if cut == "by size" else 1_000_000)
    body, headers = CUTS[cut] + tail, {}
    if is_packed:
        body, headers = gzip.compress(body), {"Content_Encoding": "gzip"}

    through, direct = await outcomes(bridged, body, **headers)

    assert through == direct
    assert direct[0] == status


BEYOND_US = {  # what the cluster reads and the bridge does not
    "a comment in an update": b'{"update":{"_id":"1"}}\n{"doc":{"title":"Owls"}/* so */}\n',
    "bytes of a lone surrogate": b'{"update":{"_id":"1"}}\n{"doc":{"title":"Owls \xed\xa0\xbd"}}\n',
    "a comment in the action of an update": b'{"update":{"_id":"1"}/* so */}\n{"doc":{"title":"Owls"}}\n',
    "an action without its last bracket": b'{"update":{"_id":"1"}\n{"doc":{"title":"Owls"}}\n',
    "an escaped action with a comment": b'{"\\u0075pdate":{"_id":"1"}/* so */}\n{"doc":{"title":"Owls"}}\n',
}


@pytest.mark.parametrize("name", BEYOND_US)
async def test_an_update_that_only_the_cluster_reads_leaves_no_old_vector_under_a_new_text(
    bridged: Bridged, name: str
) -> None:
    await bridged.bridge("PUT", f"/{bridged.papers.index}/_doc/1", {"title": "Cats"})

    await bridged.bridge("POST", f"/{bridged.papers.index}/_bulk", BEYOND_US[name] + TEXTS)

    assert (await bridged.states())["1"] in ("ok", "pending")  # `states` compares the text with the vector


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        pytest.param(429, b'{"error":{"type":"rejected_execution_exception","reason":"busy"},"status":429}', id="busy"),
        pytest.param(503, b"not now", id="a proxy"),
        pytest.param(401, b"Unauthorized", id="not allowed"),
    ],
)
@pytest.mark.parametrize("later", [0, 1], ids=["whole", "alone"])
async def test_a_check_that_the_cluster_does_not_carry_out_is_the_answer(
    papers: Papers, monkeypatch: pytest.MonkeyPatch, later: int, status: int, answer: bytes
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 200)
    async with scripted(papers.direct.url) as cluster, through(cluster.url) as bridge:
        cluster.answers.extend([None] * later + [(status, answer)])
        got = await bridge("POST", f"/{papers.index}/_bulk", TEXTS)

    assert (got.status, got.body) == (status, answer)
    assert len(cluster.bulks) == 1 + later
    assert await stored(papers.direct, papers.index) == {}


@pytest.mark.parametrize(
    ("body", "requests"),
    [
        pytest.param(TEXTS, 1, id="not cut"),
        pytest.param(TEXTS + ndjson({"delete": {"_id": "x"}}, {"update": {"_id": "t1"}}, {"doc": {"year": 1}}), 1,
                     id="an update of another field"),
        pytest.param(CUTS["by scripts"], 3, id="scripts: the check, its measure, the rest"),
    ],
)  # fmt: skip
async def test_a_bulk_that_is_not_cut_costs_no_further_request(papers: Papers, body: bytes, requests: int) -> None:
    async with scripted(papers.direct.url) as cluster, through(cluster.url) as bridge:
        got = await bridge("POST", f"/{papers.index}/_bulk", body)

    assert (got.status, got.json["errors"]) == (200, False)
    assert len(cluster.bulks) == requests


async def test_a_large_bulk_is_checked_whole(bridged: Bridged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 1_000_000)
    filler = json.dumps({"blob": "x" * 10_000}).encode()
    good = b"".join(b'{"index":{"_id":"l%d"}}\n%b\n' % (n, filler) for n in range(300))  # larger than a spool in memory

    refused = await outcomes(bridged, TEXTS + good + BAD_LINES["a negative version"])
    accepted = await outcomes(bridged, TEXTS + good)

    assert refused[0] == refused[1]
    assert refused[0][0] == 400
    assert refused[0][2] == {}
    assert accepted[0][0] == accepted[1][0] == 200
