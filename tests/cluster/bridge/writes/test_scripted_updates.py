"""Scripts in a bulk request, and the pipelines that they run through."""

import pytest

from tests.cluster.bridge.writes.test_updates import (
    DOCUMENTS,
    NEW,
    Bridged,
    _shown,
    bridged,  # noqa: F401 - fixtures
    plain,
)
from tests.support.http import ndjson

PIPED: dict[str, tuple[str, dict]] = {
    "doc": ("1", {"doc": NEW}),
    "script": ("1", {"script": "ctx._source.year = 7"}),
    "script, missing document": ("9", {"script": "ctx._source.year = 7"}),
    "script and upsert, exists": ("1", {"script": "ctx._source.year = 7", "upsert": NEW}),
    "script of the text and upsert, exists": ("1", {"script": "ctx._source.title = 'x'", "upsert": NEW}),
    "script and upsert, new": ("9", {"script": "ctx._source.year = 7", "upsert": NEW, "_source": ["ran"]}),
    "script and upsert without text, new": ("9", {"script": "ctx._source.year = 7", "upsert": {"year": 1}}),
    "doc and upsert, exists": ("1", {"doc": NEW, "upsert": {"title": "Bees"}}),
    "doc and upsert, new": ("9", {"doc": NEW, "upsert": {"title": "Bees"}}),
    "doc_as_upsert, exists": ("1", {"doc": NEW, "doc_as_upsert": True}),
    "doc_as_upsert, new": ("9", {"doc": NEW, "doc_as_upsert": True}),
    "scripted_upsert, exists": ("1", {"script": "ctx._source.year = 7", "upsert": NEW, "scripted_upsert": True}),
}


@pytest.mark.parametrize(
    ("of_line", "of_url"),
    [
        pytest.param("-pipe", None, id="action line"),
        pytest.param(None, "-pipe", id="URL"),
        pytest.param("_none", "-pipe", id="none by wish"),
        pytest.param(None, "-nowhere", id="unknown"),
    ],
)
async def test_a_pipeline_of_bulk_updates_runs_on_what_the_cluster_runs_it_on(
    bridged: Bridged, of_line: str | None, of_url: str | None
) -> None:
    base = bridged.papers.index
    sets = {"processors": [{"set": {"field": "ran", "value": "yes"}}]}
    assert (await bridged.papers.direct("PUT", f"/_ingest/pipeline/{base}-pipe", sets)).status == 200
    named = f"{base}{of_line}" if of_line == "-pipe" else of_line
    # An unknown pipeline is the cluster's error wherever there is an `upsert`; ours only where it is needed.
    lenient = ("doc and upsert, exists", "scripted_upsert, exists") if of_url == "-nowhere" else ()
    shapes = {name: one for name, one in PIPED.items() if name not in lenient}
    lines: list[object] = []
    for name, (identifier, body) in shapes.items():
        action = {"_id": f"{name}-{identifier}", **({} if named is None else {"pipeline": named})}
        lines += [{"update": action}, body]
    query = "" if of_url is None else f"?pipeline={base}{of_url}"
    answers = []
    for ask, index in ((bridged.bridge, base), (bridged.papers.direct, f"{base}-direct")):
        seeds = [line for name in shapes for line in ({"index": {"_id": f"{name}-1"}}, DOCUMENTS["1"])]
        assert not (await bridged.bridge("POST", f"/{index}/_bulk", ndjson(*seeds))).json["errors"]
        answers.append(plain(await ask("POST", f"/{index}/_bulk{query}", ndjson(*lines)), index))
    await bridged.papers.direct("DELETE", f"/_ingest/pipeline/{base}-pipe")

    assert answers[0] == answers[1]
    assert await _shown(bridged, base) == await _shown(bridged, f"{base}-direct")
    states = await bridged.states()
    assert states.pop("script of the text and upsert, exists-1") == ("ok" if lenient else "pending")
    assert set(states.values()) <= {"ok", "none"}


async def test_a_scripted_upsert_through_a_pipeline_is_refused_where_no_guard_would_see_it(bridged: Bridged) -> None:
    body = {"script": "ctx._source.title = 'x'", "upsert": {}, "scripted_upsert": True}

    answer = await bridged.bridge(
        "POST", f"/{bridged.papers.index}/_bulk", ndjson({"update": {"_id": "9", "pipeline": "_none"}}, body)
    )

    (item,) = answer.json["items"]
    assert (answer.json["errors"], item["update"]["status"]) == (True, 400)
    assert "leave the pipeline out" in item["update"]["error"]["reason"]
    assert await bridged.states() == {}
