"""Which pipelines guard a binding."""

from dataclasses import replace

from sidecar.doctor.guards import calls_guard, fitting_guard
from sidecar.doctor.indices import examine_index
from sidecar.jsontext import Json
from sidecar.templates.compiler import compile_guard
from tests.unit.doctor.test_indices import COMPILED, GUARD, healthy, set_to

BINDING = COMPILED.binding.fields["embedding"]


def test_the_remedy_names_the_guard_that_fits() -> None:
    facts, around = healthy()

    with_guard = examine_index(set_to(facts, final_pipeline=None), around).findings[0].remedy
    without = examine_index(set_to(facts, final_pipeline=None), replace(around, ingest_pipelines={})).findings[0].remedy

    assert with_guard == (f'PUT /papers/_settings {{"index.final_pipeline":"{GUARD}"}}; then sidecar repair papers')
    assert without == "sidecar template apply … installs the guard"


def test_pipelines_that_call_each_other_are_followed_so_far() -> None:
    circle: dict[str, Json] = {
        "a": {"processors": [{"pipeline": {"name": "b"}}]},
        "b": {"processors": [{"pipeline": {"name": "a"}}]},
    }

    assert not calls_guard("a", COMPILED.binding, circle)
    assert fitting_guard(COMPILED.binding, circle) is None
    assert calls_guard("g", COMPILED.binding, {"g": compile_guard("other", [BINDING])})
