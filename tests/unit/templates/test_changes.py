"""What a template would change in a cluster, and what it must not."""

from dataclasses import replace

import pytest

from sidecar.errors import Conflict, InvalidInput
from sidecar.model import Engine
from sidecar.templates import naming
from sidecar.templates.changes import Change, comparable, plan, refuse_conflicts
from sidecar.templates.compiler import default_base
from tests.support.templates import CHANGED, MINILM, NEXT, compiled, installed


def test_an_empty_cluster_gets_everything():
    template = compiled()

    assert plan(template, installed()) == tuple(Change(path, None, body) for path, body in template.documents.items())


def test_a_cluster_that_cannot_fuse_gets_no_search_pipeline_and_no_companion():
    template = compiled()

    paths = [change.path for change in plan(template, installed(fuses=False))]
    left_out = (naming.SEARCH_PIPELINE, "/papers--companion")
    assert paths == [path for path in template.documents if not path.startswith(left_out)]


def test_what_is_installed_is_not_put_again():
    assert plan(compiled(), installed(compiled())) == ()


def test_another_binding_leaves_the_old_guard_alone():
    changed = {change.path for change in plan(compiled(version=NEXT), installed(compiled()))}

    assert changed.isdisjoint(path for path in compiled().documents if "pipeline" in path)
    assert "/_index_template/sidecar-papers" in changed


def test_of_a_companion_only_the_identity_is_compared():
    path = "/papers--companion"
    ours, other = compiled().documents[path], compiled(join=" ").documents[path]
    theirs = {"mappings": {"_meta": ours["mappings"]["_meta"]}}

    assert comparable(path, ours) == comparable(path, theirs) != comparable(path, other)


def test_an_index_in_the_companions_place_is_refused():
    taken = installed(others={"/papers--companion": {"mappings": {"_meta": {"owner": "somebody"}}}})

    with pytest.raises(Conflict, match=r"index \[papers--companion\] exists and is not a companion"):
        refuse_conflicts(compiled(), taken)


def test_how_opensearch_spells_settings_is_no_difference():
    path = naming.COMPONENT_TEMPLATE + "sidecar-papers-base"
    ours = {"template": {"settings": {"index.knn": True, "number_of_shards": 2, "index": {"sort.field": ["a"]}}}}
    theirs = {"template": {"settings": {"index": {"knn": "true", "number_of_shards": "2", "sort": {"field": ["a"]}}}}}

    assert comparable(path, ours) == comparable(path, theirs)


def test_a_change_is_shown_as_a_unified_diff():
    change = Change("/_index_template/a", {"priority": 1, "x": []}, {"x": [], "priority": 2})

    assert change.diff().splitlines() == [
        "--- /_index_template/a",
        "+++ /_index_template/a",
        "@@ -1,4 +1,4 @@",
        " {",
        '-  "priority": 1,',
        '+  "priority": 2,',
        '   "x": []',
        " }",
    ]


def test_a_new_document_is_shown_whole():
    assert Change("/_ingest/pipeline/a", None, {}).diff().splitlines() == [
        "--- (not installed)",
        "+++ /_ingest/pipeline/a",
        "@@ -0,0 +1 @@",
        "+{}",
    ]


@pytest.mark.parametrize(
    ("template", "there", "problem"),
    [
        pytest.param(
            compiled(version=CHANGED),
            installed(compiled()),
            f"model [all-minilm-l6-v2@1] has space [{CHANGED.space}]",
            id="changed fingerprint under the same name",
        ),
        pytest.param(
            compiled("books", CHANGED, index_patterns=["books*"]),
            installed(compiled()),
            f"binds that model under space [{MINILM.space}]",
            id="changed fingerprint in another template",
        ),
        pytest.param(
            compiled(),
            installed(others={"/_index_template/x": {"index_patterns": ["a", "pap*"], "priority": 100}}),
            "index template [x] has the same priority [100] and its pattern [pap*] meets [papers*]",
            id="same priority",
        ),
        pytest.param(
            compiled(priority=0),
            installed(others={"/_index_template/x": {"index_patterns": ["pap*"]}}),
            "index template [x] has the same priority [0]",
            id="no priority is priority 0",
        ),
        pytest.param(
            compiled(),
            installed(others={"/_index_template/sidecar-papers": {"index_patterns": ["x"]}}),
            "index template [sidecar-papers] exists and is not one of ours",
            id="somebody else's template",
        ),
        pytest.param(
            compiled(base={"properties": {"title": {"type": "text"}}, "dynamic": True}),
            installed(others={"/_ingest/pipeline/clean": {}}),
            None,
            id="no final pipeline",
        ),
        pytest.param(
            compiled(base={**default_base(), "settings": {"final_pipeline": "clean"}}),
            installed(),
            "the base names the final pipeline [clean], which is not in the cluster",
            id="missing final pipeline",
        ),
        pytest.param(compiled(version=NEXT), installed(compiled()), None, id="another version"),
        pytest.param(
            compiled(),
            installed(others={"/_index_template/x": {"index_patterns": ["pap*"], "priority": 99}}),
            None,
            id="lower priority",
        ),
        pytest.param(
            compiled(),
            installed(others={"/_index_template/x": {"index_patterns": ["books*"], "priority": 100}}),
            None,
            id="other indices",
        ),
    ],
)
def test_conflicts(template, there, problem):
    if problem is None:
        refuse_conflicts(template, there)
    else:
        with pytest.raises(Conflict) as refused:
            refuse_conflicts(template, there)
        assert problem in str(refused.value)


def test_a_broken_binding_in_the_cluster_is_said():
    broken = {"template": {"mappings": {"_meta": {"sidecar": {"schema": 2, "fields": []}}}}}

    with pytest.raises(InvalidInput, match=r"^_meta\.sidecar\.fields: "):
        refuse_conflicts(compiled(), installed(others={"/_component_template/sidecar-x-01234567": broken}))


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        pytest.param({"engine": Engine.FAISS}, "embedding", id="faiss"),
        pytest.param({"base": {"properties": {"title": {"type": "text"}, "v": {"type": "knn_vector", "dimension": 3}}}},
                     "v", id="a field of the base without an engine"),
    ],
)  # fmt: skip
def test_a_node_without_the_native_library_gets_no_vectors_of_faiss(options, fields):
    local = replace(installed(), lacks_native_knn=True)
    template = compiled(**options)

    with pytest.raises(Conflict) as refused:
        refuse_conflicts(template, local)

    assert str(refused.value) == (
        f"this cluster is a local node without the native k-NN library, and the first vectors of [{fields}] would end "
        "it: of the engines, it has only lucene"
    )
    refuse_conflicts(template, installed())
    refuse_conflicts(compiled(), local)
