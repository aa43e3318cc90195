"""`sidecar doctor` as a process: it names what was broken on a real index, and writes nothing."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template, default_base
from tests.cluster.bridges import Papers

SIDECAR = Path(sys.executable).with_name("sidecar")
NOBODY = "127.0.0.1:1"


async def run(system: dict[str, str], *arguments: str, **instead: str) -> subprocess.CompletedProcess[str]:
    at = {**system, **instead}
    command = [SIDECAR, "doctor", *arguments, "--cluster", at["cluster"], "--embedder", at["embedder"]]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120, check=False)


def found(done: subprocess.CompletedProcess[str], *, notes: bool = False) -> set[tuple[str, str, str]]:
    """The findings. The notes are those about the local node, whatever else is wrong."""
    subjects: list[dict[str, Any]] = json.loads(done.stdout)["subjects"]
    return {
        (subject["kind"], finding["level"], finding["check"])
        for subject in subjects
        for finding in subject["findings"]
        if (finding["level"] == "note") == notes
    }


async def test_what_is_well_is_said_and_what_is_broken_is_named(papers: Papers, system: dict[str, str]) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "cats purr"})
    well = await run(system, papers.index, "--bridge", system["bridge"])
    settings = (await papers.direct("GET", f"/{papers.index}/_settings")).json[papers.index]["settings"]["index"]
    guard = settings["final_pipeline"]
    template = guard.removeprefix("sidecar-").partition("-guard")[0]

    # Unmarked: written while there was no guard. Pending: while there was one, around the bridge.
    await papers.direct("PUT", f"/{papers.index}/_doc/2?refresh=true", {"title": "dogs bark"})
    await papers.without_guard()
    await papers.direct("PUT", f"/{papers.index}/_doc/3?refresh=true", {"title": "rain falls"})
    embeds = {"processors": [{"set": {"field": "embedding", "value": [0.5] * 384}}]}
    await papers.direct("PUT", f"/_ingest/pipeline/{template}-embeds", embeds)
    sparse = {"request_processors": [{"neural_sparse_two_phase_processor": {}}]}
    await papers.direct("PUT", f"/_search/pipeline/{template}-sparse", sparse)
    pipelines = {"index.default_pipeline": f"{template}-embeds", "index.search.default_pipeline": f"{template}-sparse"}
    await papers.direct("PUT", f"/{papers.index}/_settings", pipelines)
    await papers.direct("PUT", f"/_ingest/pipeline/{guard}", {"processors": []})
    await papers.direct("DELETE", f"/{template}--companion")
    before = await papers.direct("GET", f"/{papers.index}")
    broken = await run(system, papers.index, "--json")
    after = await papers.direct("GET", f"/{papers.index}")

    assert (well.returncode, well.stderr) == (0, ""), well.stdout
    assert well.stdout.rstrip().endswith("all is well")
    assert f"index {papers.index}: embedding of title, abstract, all-minilm-l6-v2@1; 1 document" in well.stdout
    assert (broken.returncode, broken.stderr) == (1, "")
    assert found(broken, notes=True) == {("cluster", "note", "json_depth")}
    assert found(broken) == {
        ("index", "error", "guard"),
        ("index", "error", "unmarked"),
        ("index", "warning", "default_pipeline"),
        ("index", "warning", "pending"),
        ("index", "warning", "search_pipeline"),
    }
    assert before.body == after.body


async def test_a_template_that_was_changed_and_a_mapping_that_does_not_fit_are_named(
    papers: Papers, system: dict[str, str], unique: str
) -> None:
    # Another index of the pattern: bound by the template, made with a mapping of its own over it.
    index = f"{papers.index}-odd"
    vector = {"type": "knn_vector", "dimension": 4, "method": {"name": "hnsw", "engine": "lucene", "space_type": "l2"}}
    block = (await papers.direct("GET", f"/{papers.index}/_mapping")).json[papers.index]["mappings"]["_meta"]
    made = await papers.direct("PUT", f"/{index}", {"mappings": {"properties": {"embedding": vector}}})
    assert made.status == 200, made.body
    later = {"sidecar": {**block["sidecar"], "schema": 3}}
    await papers.direct("PUT", f"/{unique}-later", {"mappings": {"_meta": later}})
    guard = (await papers.direct("GET", f"/{index}/_settings")).json[index]["settings"]["index"]["final_pipeline"]
    await papers.direct("PUT", f"/_ingest/pipeline/{guard}", {"processors": []})

    done = await run(system, index, f"{unique}-later", "--json")
    unbound = await run(system, "nowhere-at-all")
    await papers.direct("DELETE", f"/{unique}-later")

    assert found(done) == {
        ("template", "warning", "drift"),
        ("index", "error", "schema"),
        ("index", "error", "dimension"),
        ("index", "error", "space_type"),
        ("index", "error", "guard"),
    }
    assert (unbound.returncode, unbound.stdout) == (2, "")
    assert "no such index [nowhere-at-all]" in unbound.stderr


async def test_an_index_that_is_older_than_its_template_is_named(
    cluster: OpenSearchCluster, system: dict[str, str], unique: str
) -> None:
    index = f"{unique}-old-1"
    for name in (index, f"{unique}-of-no-template"):
        assert (await cluster.call("PUT", f"/{name}")).ok
    version = shipped_versions()["all-minilm-l6-v2@1"]
    await apply(
        cluster,
        compile_template(unique, version, default_base(), index_patterns=(f"{unique}-old-*",), source=("title",)),
    )

    done = await run(system, f"{unique}-*", "--json")
    await cluster.call("DELETE", f"/{unique}-*")

    assert (done.returncode, found(done)) == (0, {("index", "warning", "unbound")})
    assert [subject["name"] for subject in json.loads(done.stdout)["subjects"] if subject["kind"] == "index"] == [index]


async def test_parts_that_do_not_answer_are_named_and_exit_with_2(papers: Papers, system: dict[str, str]) -> None:
    without_embedder, without_cluster = await asyncio.gather(
        run(system, papers.index, "--json", "--bridge", f"http://{NOBODY}", embedder=NOBODY),
        run(system, "--json", cluster=f"http://{NOBODY}"),
    )

    assert (without_embedder.returncode, without_cluster.returncode) == (2, 2)
    assert found(without_embedder) == {("embedder", "error", "unreachable"), ("bridge", "error", "unreachable")}
    assert found(without_cluster) == {("cluster", "error", "unreachable")}


async def test_an_index_that_would_end_the_local_node_is_named(
    cluster: OpenSearchCluster, system: dict[str, str], papers: Papers
) -> None:
    mapping = {"properties": {"v": {"type": "knn_vector", "dimension": 4}}}
    made = await cluster.call(
        "PUT", f"/{papers.index}-store", body={"mappings": mapping, "settings": {"index.knn": True}}
    )
    assert made.ok

    done = await run(system, f"{papers.index}-store", "--json")
    await cluster.call("DELETE", f"/{papers.index}-store")

    assert "[v] is mapped for faiss or nmslib" in done.stdout
    assert found(done) == {("index", "error", "native_knn")}
