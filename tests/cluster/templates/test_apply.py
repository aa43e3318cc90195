"""Templates on a real node: installed, compared, refused and taken out."""

import json

import pytest
from typer.testing import CliRunner

from sidecar.cli.template import app
from sidecar.errors import Conflict, InvalidInput
from sidecar.model import Engine, IndexBinding
from sidecar.templates import naming
from sidecar.templates.apply import apply, delete, diff, list_templates, read_installed
from sidecar.templates.compiler import compile_template
from tests.support.provenances import state_of
from tests.support.templates import TINY

BASE = {
    "mappings": {
        "dynamic": False,
        "_meta": {"owner": "library"},
        "properties": {"title": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 256}}}},
    },
    "settings": {
        "number_of_replicas": 0,
        "index": {"analysis": {"analyzer": {"plain": {"type": "custom", "tokenizer": "standard", "filter": []}}}},
    },
}


def compiled(name, version=None, base=None, **options):
    # A model id that no other test uses: templates of all tests share one node.
    version = version or TINY.model_copy(update={"id": f"{name}@1"})
    options = {"index_patterns": [f"{name}*"], "source": ["title"]} | options
    return compile_template(name, version, base or BASE, **options)


@pytest.fixture
async def name(cluster, unique):
    """The name of a template that is taken out after the test, with whatever has been made under it."""
    yield unique
    await cluster.call("DELETE", f"/_index_template/other-{unique}")
    for path in (f"/{unique},{unique}-*", f"/_ingest/pipeline/{unique}-*"):
        await cluster.call("DELETE", path, params={"ignore_unavailable": "true"})
    if unique in {summary.template for summary in await list_templates(cluster)}:
        await delete(cluster, unique)


async def owned(cluster, name):
    return [path for path in (await read_installed(cluster)).documents if naming.owns(name, path)]


async def make_other(cluster, name, **body):
    reply = await cluster.call("PUT", f"/_index_template/other-{name}", body=body)
    assert reply.ok, reply.reason


async def test_applying_twice_changes_nothing(cluster, name):
    installed = await read_installed(cluster)

    first = await apply(cluster, compiled(name))
    second = await apply(cluster, compiled(name))

    expected = [p for p in compiled(name).documents if installed.fuses or not p.startswith(naming.SEARCH_PIPELINE)]
    assert [change.path for change in first.changes] == expected
    assert second.changes == ()
    assert await diff(cluster, compiled(name)) == ()


async def test_a_new_index_is_bound(cluster, name):
    template = compiled(name)
    await apply(cluster, template)

    assert (await cluster.call("PUT", f"/{name}-1")).ok

    made = (await cluster.call("GET", f"/{name}-1")).body[f"{name}-1"]
    assert IndexBinding.from_meta(made["mappings"]["_meta"]) == template.binding
    assert made["mappings"]["_meta"]["owner"] == "library"
    assert made["mappings"]["properties"].keys() == {"title", "embedding", "embedding_meta"}
    assert made["settings"]["index"]["final_pipeline"] == template.names.guard
    assert made["settings"]["index"]["number_of_shards"] == "2"
    assert "search" not in made["settings"]["index"]


async def test_create_makes_the_first_index_once(cluster, name):
    first = await apply(cluster, compiled(name), create=True)
    second = await apply(cluster, compiled(name), create=True)

    index = f"{name}--{name}-1-000001"
    aliases = (await cluster.call("GET", f"/{index}/_alias")).body
    assert first.created_index == index
    assert second.created_index is None
    assert aliases == {index: {"aliases": {name: {"is_write_index": True}}}}


async def test_create_refuses_an_index_in_the_aliases_place(cluster, name):
    assert (await cluster.call("PUT", f"/{name}", body={"settings": {"number_of_replicas": 0}})).ok

    with pytest.raises(Conflict, match=rf"an index is called \[{name}\]"):
        await apply(cluster, compiled(name), create=True)

    assert await owned(cluster, name) == []


async def test_create_refuses_a_first_index_without_its_alias(cluster, name):
    index = compiled(name).names.first_index
    assert (await cluster.call("PUT", f"/{index}", body={"settings": {"number_of_replicas": 0}})).ok

    with pytest.raises(Conflict, match=rf"index \[{index}\] exists, but the alias \[{name}\] does not"):
        await apply(cluster, compiled(name), create=True)


async def test_create_needs_a_pattern_that_matches_the_first_index(cluster, name):
    with pytest.raises(InvalidInput, match=r"^index_patterns: none matches the first index"):
        await apply(cluster, compiled(name, index_patterns=[name]), create=True)


async def test_another_binding_leaves_the_old_guard_until_delete(cluster, name):
    await apply(cluster, compiled(name))
    await apply(cluster, compiled(name, join=" "))

    guards = {compiled(name).names.guard, compiled(name, join=" ").names.guard}
    there = set(await owned(cluster, name))
    assert {naming.INGEST_PIPELINE + guard for guard in guards} <= there
    assert set(await delete(cluster, name)) == there
    assert await owned(cluster, name) == []


async def test_a_changed_fingerprint_under_the_same_model_is_refused(cluster, name):
    await apply(cluster, compiled(name))
    before = (await read_installed(cluster)).documents
    changed = TINY.model_copy(update={"id": f"{name}@1", "tokenizer": "3" * 64})

    with pytest.raises(Conflict, match=rf"model \[{name}@1\] has space"):
        await apply(cluster, compiled(name, changed))

    after = (await read_installed(cluster)).documents
    assert {p: after.get(p) for p in before if naming.owns(name, p)} == {
        p: body for p, body in before.items() if naming.owns(name, p)
    }


async def test_a_template_of_equal_priority_is_refused(cluster, name):
    await make_other(cluster, name, index_patterns=[f"{name}-*"], priority=100)

    with pytest.raises(Conflict, match=rf"index template \[other-{name}\] has the same priority \[100\]"):
        await apply(cluster, compiled(name))

    assert await owned(cluster, name) == []


async def test_a_template_that_wins_is_named_and_ours_taken_back(cluster, name):
    await make_other(cluster, name, index_patterns=[f"{name}*"], priority=500)

    with pytest.raises(Conflict, match=rf"index template \[other-{name}\] wins over \[sidecar-{name}\]"):
        await apply(cluster, compiled(name))

    assert await owned(cluster, name) == []


async def test_an_overruled_change_restores_what_was_there(cluster, name):
    await apply(cluster, compiled(name))
    await make_other(cluster, name, index_patterns=[f"{name}*"], priority=50)

    with pytest.raises(Conflict, match="wins over"):
        await apply(cluster, compiled(name, join=" ", priority=10))

    assert await diff(cluster, compiled(name)) == ()
    assert naming.INGEST_PIPELINE + compiled(name, join=" ").names.guard not in await owned(cluster, name)


async def test_a_higher_priority_wins_back(cluster, name):
    await make_other(cluster, name, index_patterns=[f"{name}*"], priority=500)

    await apply(cluster, compiled(name, priority=501))

    assert (await read_installed(cluster)).winner(f"{name}-1") == f"sidecar-{name}"


async def test_the_bases_own_final_pipeline_is_called_by_the_guard(cluster, name):
    base = {**BASE, "settings": {"number_of_replicas": 0, "final_pipeline": f"{name}-clean"}}
    clean = {"processors": [{"lowercase": {"field": "title"}}]}
    with pytest.raises(Conflict, match=rf"the final pipeline \[{name}-clean\], which is not in the cluster"):
        await apply(cluster, compiled(name, base=base))
    assert (await cluster.call("PUT", f"/_ingest/pipeline/{name}-clean", body=clean)).ok

    await apply(cluster, compiled(name, base=base), create=True)
    await cluster.call("PUT", f"/{name}/_doc/1", body={"title": "LOUD"})

    source = (await cluster.call("GET", f"/{name}/_doc/1")).body["_source"]
    assert source["title"] == "loud"
    assert state_of(source) == "pending"


async def test_delete_is_refused_while_an_index_uses_the_guard(cluster, name):
    await apply(cluster, compiled(name), create=True)
    there = await owned(cluster, name)

    with pytest.raises(Conflict, match=rf"template \[{name}\] is in use.*\[{name}--{name}-1-000001\]"):
        await delete(cluster, name)

    assert await owned(cluster, name) == there


async def test_what_is_not_installed_cannot_be_deleted(cluster, name):
    with pytest.raises(InvalidInput, match=rf"^template: \[{name}\] is not installed"):
        await delete(cluster, name)


def test_the_command_line(node_url, name):
    """render, diff, apply, list and delete, as in the README."""
    options = [name, "--model", "all-minilm-l6-v2@1", "--index-pattern", f"{name}*", "--source", "title,abstract"]

    def run(command, *arguments):
        result = CliRunner().invoke(app, [command, *arguments, "--cluster", node_url])
        return result.exit_code, result.stdout

    code, shown = run("diff", *options)
    assert code == 1
    assert f"+++ /_index_template/sidecar-{name}\n" in shown
    code, applied = run("apply", *options, "--json")
    assert code == 0
    assert f"/_index_template/sidecar-{name}" in json.loads(applied)["changed"]
    assert run("diff", *options) == (0, "")
    assert run("apply", *options) == (0, f"template {name} is installed already; nothing was changed\n")
    assert run("apply", *options, "--create") == (
        0,
        f"created index {name}--all-minilm-l6-v2-1-000001 with write alias {name}\n",
    )
    _, listed = run("list", "--json")
    assert {
        "template": name,
        "model": "all-minilm-l6-v2@1",
        "field": "embedding",
        "source": ["title", "abstract"],
        "index_patterns": [f"{name}*"],
        "priority": 100,
        "indices": [f"{name}--all-minilm-l6-v2-1-000001"],
        "companion": f"{name}--companion",
    } in json.loads(listed)


async def test_a_local_node_gets_no_template_that_would_end_it(cluster, name):
    with pytest.raises(Conflict, match="without the native k-NN library"):
        await apply(cluster, compiled(name, engine=Engine.FAISS))

    assert await owned(cluster, name) == []


async def test_a_base_that_forgets_the_vector_is_refused(cluster, name):
    with pytest.raises(InvalidInput, match=r"mapping\._source: leaves out \[embedding\]"):
        compiled(name, base={"_source": {"excludes": ["embedding"]}, "properties": {"title": {"type": "text"}}})
