"""Random filtered searches through a bridge, held against what the same filters alone let a client see."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sidecar.bridge.app import serving
from sidecar.jsontext import Json
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template
from tests.support.between import bridge_settings
from tests.support.embedders import HashEmbedder
from tests.support.http import Http, http, ndjson

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
_BATCH = 40
_DOCUMENTS = 60
_WORDS = ("cat", "dog", "bank", "river", "kitten", "rate", "noise", "pet")
_YEARS = range(2000, 2008)
_TEAMS = ("red", "green", "blue")
_BASE = {
    "properties": {
        "title": {"type": "text"},
        "abstract": {"type": "text"},
        "year": {"type": "integer"},
        "team": {"type": "keyword"},
    }
}
_EVERYTHING = {"match_all": {}}


@dataclass(frozen=True, slots=True)
class Filtered:
    """Bound indices of random documents, and an alias with a filter, reached through a bridge and directly."""

    bridge: Http
    direct: Http
    names: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """What became of the searches; `wider` names those that showed more than their filters allow."""

    searches: int = 0
    hits: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    wider: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A search, and what shows every document that its filters let through."""

    name: str
    body: dict[str, Any]
    allowed: dict[str, Any]
    url: str = ""
    is_alone: bool = False  # sent by itself, not with others in an `_msearch`


@asynccontextmanager
async def filtered(node_url: str, name: str) -> AsyncIterator[Filtered]:
    """An index of one shard with its companion, one of three, and an alias of both; gone when the context ends."""
    async with (
        OpenSearchCluster(node_url) as cluster,
        serving(bridge_settings(node_url), HashEmbedder(MINILM)) as at,
        http(f"http://{at.address}", node_url) as (bridge, direct),
        filled(cluster, bridge, name) as names,
    ):
        yield Filtered(bridge, direct, names)


@asynccontextmanager
async def filled(cluster: OpenSearchCluster, bridge: Http, name: str) -> AsyncIterator[tuple[str, ...]]:
    """The names under which the documents can be searched; gone when the context ends."""
    template = compile_template(name, MINILM, _BASE, index_patterns=(f"{name}-*",), source=("title", "abstract"))
    alias = f"alias-of-{name}"
    await apply(cluster, template)
    drawn = random.Random(name)
    for shards in (1, 3):
        index = f"{name}-{shards}"
        settings: Json = {"number_of_shards": shards, "number_of_replicas": 0}
        assert (await cluster.call("PUT", f"/{index}", body={"settings": settings})).ok
        lines = [line for i in range(_DOCUMENTS) for line in ({"index": {"_id": f"{shards}/{i}"}}, _document(drawn))]
        written = await bridge("POST", f"/{index}/_bulk?refresh=true", ndjson(*lines))
        assert written.ingested[1] == 0
    add: Json = {"index": f"{name}-*", "alias": alias, "filter": {"terms": {"team": ["red", "blue"]}}}
    assert (await cluster.call("POST", "/_aliases", body={"actions": [{"add": add}]})).ok
    yield f"{name}-1", f"{name}-3", f"{name}-*", alias
    await cluster.call("DELETE", f"/{name}-*,{template.names.companion}")


async def filtered_searches(where: Filtered, *, seed: int, count: int) -> Tally:
    """Send so many searches, and compare what each shows with what its filters allow."""
    tally = Tally()
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        drawn = [draw(random.Random(f"{seed}/{number}"), where.names) for number in numbers]
        allowed = await _several(where.direct, [(one.name, one.allowed) for one in drawn])
        together = [one for one in drawn if not one.is_alone]
        answers = iter(await _several(where.bridge, [(one.name, one.body) for one in together], tally.modes))
        for one, limit in zip(drawn, allowed, strict=True):
            answer = await _alone(where.bridge, one, tally.modes) if one.is_alone else next(answers)
            shown, lets = _hits(answer), _hits(limit)
            tally.searches += 1
            tally.hits += len(shown)
            if not shown <= lets or answer["_shards"]["failed"]:
                tally.wider.append(f"{one}: {sorted(shown - lets)}, {answer['_shards']}")
    return tally


def draw(drawn: random.Random, names: tuple[str, ...]) -> Drawn:
    """A random search; `drawn` decides everything."""
    words = " ".join(drawn.choices(_WORDS, k=3))
    name, form, state = drawn.choice(names), drawn.choice(("plain", "plain", "counted", "url")), drawn.getstate()
    text = _text(drawn, words)
    drawn.setstate(state)
    _text(drawn, words)
    after = drawn.getstate()
    query = _constrained(drawn, text)
    drawn.setstate(after)
    everything = _constrained(drawn, _EVERYTHING)
    post = {"post_filter": _constraint(drawn)} if drawn.random() < 0.3 else {}
    page = {"size": drawn.choice((3, 10, 120)), "from": drawn.choice((0, 0, 2))}
    every = {"size": 2 * _DOCUMENTS, "_source": False}
    if form == "url":
        return Drawn(
            name, {**post, **page}, {"query": _EVERYTHING, **post, **every}, f"?q={quote(words)}", is_alone=True
        )
    counted = {"aggs": {"years": {"terms": {"field": "year"}}}} if form == "counted" else {}
    body = {"query": query, **post, **page, **counted}
    return Drawn(name, body, {"query": everything, **post, **every}, is_alone=bool(counted))


def _text(drawn: random.Random, words: str) -> dict[str, Any]:
    return drawn.choice(
        (
            {"match": {"title": words}},
            {"match": {"abstract": {"query": words, "fuzziness": "AUTO"}}},
            {"multi_match": {"query": words, "fields": ["title^2", "abstract"]}},
            {"query_string": {"query": words, "default_field": "title"}},
            {"simple_query_string": {"query": words, "fields": ["title"]}},
            {"neural": {"embedding": {"query_text": words, "k": drawn.choice((3, 30))}}},
        )
    )


def _constrained(drawn: random.Random, text: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """The text under random constraints, at a random depth."""
    inner = _constrained(drawn, text, depth + 1) if depth < 2 and drawn.random() < 0.5 else text
    kind = drawn.choice(("must", "filter", "must_not", "should"))
    constraints = [_constraint(drawn) for _ in range(drawn.randint(1, 2))]
    if kind == "must":
        return {"bool": {"must": [inner, *constraints]}}
    return {"bool": {"must": [inner], kind: constraints}}


def _constraint(drawn: random.Random, depth: int = 0) -> dict[str, Any]:
    low = drawn.choice(_YEARS)
    simple = (
        {"term": {"year": low}},
        {"terms": {"team": drawn.sample(_TEAMS, 2)}},
        {"range": {"year": {"gte": low, "lt": low + drawn.randint(1, 4)}}},
        {"exists": {"field": "abstract"}},
    )
    found = drawn.choice(simple)
    if depth < 2 and drawn.random() < 0.3:
        kind = drawn.choice(("should", "must_not", "filter"))
        return {"bool": {kind: [found, _constraint(drawn, depth + 1)]}}
    return found


def _document(drawn: random.Random) -> dict[str, object]:
    text = {"title": " ".join(drawn.choices(_WORDS, k=4))}
    if drawn.random() < 0.7:
        text["abstract"] = " ".join(drawn.choices(_WORDS, k=8))
    return {**text, "year": drawn.choice(_YEARS), "team": drawn.choice(_TEAMS)}


async def _several(
    server: Http, searches: list[tuple[str, dict[str, Any]]], modes: Counter[str] | None = None
) -> list[dict[str, Any]]:
    lines = ndjson(*(line for name, body in searches for line in ({"index": name}, body)))
    answer = await server("POST", "/_msearch", lines)
    assert answer.status == 200, answer.body
    if modes is not None:
        for part in answer.headers["X-Sidecar-Search"].split("; ")[1:]:
            mode, _, number = part.partition("=")
            modes[mode] += int(number)
    return answer.json["responses"]


async def _alone(bridge: Http, one: Drawn, modes: Counter[str]) -> dict[str, Any]:
    answer = await bridge("POST", f"/{quote(one.name, safe='*')}/_search{one.url}", one.body)
    assert answer.status == 200, answer.body
    modes[answer.headers["X-Sidecar-Search"].partition(";")[0]] += 1
    return answer.json


def _hits(answer: dict[str, Any]) -> set[str]:
    assert "hits" in answer, answer
    return {hit["_id"] for hit in answer["hits"]["hits"]}
