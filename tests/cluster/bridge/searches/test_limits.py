"""Searches that are too large to be planned go to the cluster unchanged, and none keeps the event loop for itself."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable

import pytest

from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers, ReadOnly
from tests.support.between import Between, between
from tests.support.http import Answer, ndjson
from tests.support.steps import steps_of_handlers
from tests.support.waiting import until

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
LONGEST_STEP_S = 0.05
TOO_LARGE = "lexical; reason=too_large"
DOCUMENTS = {"1": {"title": "Felines purr", "abstract": "A kitten makes this sound"}, "2": {"title": "Dogs bark"}}
MATCH = {"match": {"title": "felines"}}


@pytest.fixture
async def filled(read_only: ReadOnly) -> Papers:
    return await read_only("limits-of-search", DOCUMENTS)


def filtered(*clauses: object) -> dict[str, object]:
    return {"query": {"bool": {"must": [MATCH], "filter": list(clauses)}}}


PATTERNS = {"query": {"multi_match": {"query": "felines", "fields": [f"f{n}*" for n in range(100_000)]}}}
TERMS = filtered({"bool": {"must_not": {"terms": {"title": [f"id{n}" for n in range(100_000)]}}}})
CLAUSES = filtered(*({"exists": {"field": "title"}} for _ in range(1_000)))
VALUES = filtered({"bool": {"must_not": {"terms": {"title": [f"id{n}" for n in range(60_000)]}}}})
NEURAL = {"query": {"bool": {"should": [{"neural": {"embedding": {"query_text": f"cat {n}"}}} for n in range(10_000)]}}}
LONG = {"query": {"match": {"title": "felines " * 140_000}}}
EXCLUDED = {**filtered(), "_source": {"excludes": [f"f{n}" for n in range(60_000)]}}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PATTERNS, id="patterns of fields"),
        pytest.param(TERMS, id="more than a mebibyte"),
        pytest.param(LONG, id="a long text"),
        pytest.param(NEURAL, id="neural clauses"),
    ],
)
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
async def test_what_is_too_large_is_forwarded_unchanged(
    filled: Papers, monkeypatch: pytest.MonkeyPatch, body: dict[str, object], is_packed: bool
) -> None:
    text = json.dumps(body).encode()
    sent, headers = (gzip.compress(text), {"Content-Encoding": "gzip"}) if is_packed else (text, {})
    path = f"/{filled.index}/_search?_source=false"
    direct = await filled.direct.request("POST", path, sent, headers)
    async with between(filled.direct.url, MINILM) as at:
        with steps_of_handlers(monkeypatch) as steps:
            through = await at.bridge.request("POST", path, sent, headers)

    assert through.headers["X-Sidecar-Search"] == TOO_LARGE
    assert (through.status, through.json.get("error"), through.json.get("hits")) == (
        direct.status,
        direct.json.get("error"),
        direct.json.get("hits"),
    )
    assert steps.count > 0
    assert steps.longest_s < LONGEST_STEP_S


async def test_the_sources_that_a_large_search_asks_for_are_shown(filled: Papers) -> None:
    body = json.dumps({**filtered(), "_source": ["title"]}).encode() + b" " * 1_048_576
    through = await filled.bridge("POST", f"/{filled.index}/_search", body)

    assert through.headers["X-Sidecar-Search"] == TOO_LARGE
    assert [hit["_source"] for hit in through.json["hits"]["hits"]] == [{"title": "Felines purr"}]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(CLAUSES, id="clauses"),
        pytest.param(VALUES, id="values"),
        pytest.param(EXCLUDED, id="excluded fields"),
        pytest.param({**filtered(), "aggs": {f"a{n}": {"avg": {"field": "year"}} for n in range(1_000)}}, id="aggs"),
        pytest.param({**filtered(), "size": 10_000, "track_total_hits": True}, id="fused in the bridge"),
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
async def test_a_heavy_search_is_answered_off_the_loop(
    filled: Papers, monkeypatch: pytest.MonkeyPatch, body: dict[str, object], mode: str
) -> None:
    async with between(filled.direct.url, MINILM) as at:
        with steps_of_handlers(monkeypatch) as steps:
            answer = await at.bridge("POST", f"/{filled.index}/_search", body, X_Sidecar_Mode=mode)

    assert answer.status == 200
    assert answer.headers["X-Sidecar-Search"].startswith(mode)
    assert steps.longest_s < LONGEST_STEP_S


@pytest.mark.parametrize(
    ("items", "outcome"),
    [pytest.param(1_000, "msearch; hybrid=1000", id="many"), pytest.param(20_000, TOO_LARGE, id="too many")],
)
async def test_an_msearch_of_many_searches_keeps_the_loop_free(
    filled: Papers, monkeypatch: pytest.MonkeyPatch, items: int, outcome: str
) -> None:
    body = ndjson(*(line for _ in range(items) for line in ({}, {"query": MATCH, "size": 0 if items > 1_000 else 1})))
    async with between(filled.direct.url, MINILM) as at:
        with steps_of_handlers(monkeypatch) as steps:
            answer = await at.bridge("POST", f"/{filled.index}/_msearch?filter_path=responses.status", body)

    assert answer.headers["X-Sidecar-Search"] == outcome
    assert answer.json == {"responses": [{"status": 200}] * items}
    assert steps.longest_s < LONGEST_STEP_S


async def test_a_template_that_becomes_too_large_is_forwarded_unchanged(filled: Papers) -> None:
    source = '{"query":{"match":{"title":"felines {{#words}}{{.}} {{/words}}"}}}'
    template = {"source": source, "params": {"words": ["word" * 200] * 200}}
    small = await filled.bridge("POST", f"/{filled.index}/_search/template", template)
    template["params"] = {"words": ["word" * 2_000] * 100, "more": 0}
    template["source"] = source.replace("{{.}}", "{{.}}" * 2)
    large = await filled.bridge("POST", f"/{filled.index}/_search/template", template)

    assert small.headers["X-Sidecar-Search"].startswith("hybrid")
    assert large.headers["X-Sidecar-Search"] == TOO_LARGE


async def beside_waiting(at: Between, index: str, count: int, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer to a call beside searches that wait for their vectors."""
    at.stub.may_answer.clear()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            body = {"query": {"match": {"title": f"cat {number} {'x' * 10_000}"}}}
            tasks.create_task(at.bridge("POST", f"/{index}/_search", body))
        await until(lambda: len(at.stub.asked) >= count)
        answer = await call()
        at.stub.may_answer.set()
    return answer


async def test_a_body_that_is_parsed_counts_eight_times(filled: Papers) -> None:
    path = f"/{filled.index}/_search"
    async with between(filled.direct.url, MINILM, max_inflight_bytes=3 * 8 * 10_100) as at:
        search = await beside_waiting(at, filled.index, 2, lambda: at.bridge("POST", path, LONG))
        small = await beside_waiting(at, filled.index, 2, lambda: at.bridge("POST", path, {"size": 0}))
        alone = await at.bridge("POST", path, LONG)

    assert (search.status, search.json["error"]["type"]) == (429, "rejected_execution_exception")
    assert (small.status, alone.status) == (200, 400)


async def test_the_decoded_bytes_of_a_body_count(filled: Papers) -> None:
    packed = gzip.compress(json.dumps({"size": 0, "stats": [" " * 100_000]}).encode())
    async with between(filled.direct.url, MINILM, max_inflight_bytes=3 * 8 * 10_100) as at:

        async def send() -> Answer:
            return await at.bridge("POST", f"/{filled.index}/_search", packed, Content_Encoding="gzip")

        refused = await beside_waiting(at, filled.index, 1, send)
        alone = await send()

    assert len(packed) < 1_000
    assert (refused.status, alone.status) == (429, 200)
