"""Which pipelines guard a binding."""

from sidecar.doctor.guards import calls_guard, fitting_guard
from sidecar.jsontext import Json
from sidecar.templates.compiler import compile_guard
from tests.unit.doctor.test_indices import COMPILED

BINDING = COMPILED.binding.fields["embedding"]


def test_pipelines_that_call_each_other_are_followed_so_far() -> None:
    circle: dict[str, Json] = {
        "a": {"processors": [{"pipeline": {"name": "b"}}]},
        "b": {"processors": [{"pipeline": {"name": "a"}}]},
    }

    assert not calls_guard("a", COMPILED.binding, circle)
    assert fitting_guard(COMPILED.binding, circle) is None
    assert calls_guard("g", COMPILED.binding, {"g": compile_guard("other", [BINDING])})
