"""Whether a template is as it was applied, seen from what is installed alone."""

import pytest

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, at
from sidecar.model import Engine, ModelVersion, SpaceType
from sidecar.templates import naming
from sidecar.templates.audit import drift, overruled_by, template_for
from sidecar.templates.compiler import CompiledTemplate, compile_template, default_base
from sidecar.templates.installed import Installed, Summary, summaries

MINILM = ModelVersion(
    id="all-minilm-l6-v2@1", weights={"model.safetensors": "1" * 64}, tokenizer="2" * 64, pooling="mean",
    max_tokens=256, normalized=True, dimension=384,
)  # fmt: skip
# As an author spells them; the cluster nests settings and makes strings of their values.
SETTINGS: Json = {"index.number_of_shards": 1, "index.max_result_window": 20_000, "index.final_pipeline": "own"}
MAPPINGS = at(default_base(), "mappings")
BASE: Json = {"mappings": MAPPINGS, "settings": SETTINGS}


def compiled(base: Json = BASE, **options: object) -> CompiledTemplate:
    given = {"index_patterns": ("papers*",), "source": ("title", "abstract")} | options
    return compile_template("papers", MINILM, base, **given)


def installed(template: CompiledTemplate, *, without: str = "nothing", **others: Json) -> Installed:
    documents = {path: body for path, body in template.documents.items() if without not in path}
    base = f"{naming.COMPONENT_TEMPLATE}{template.names.base}"
    spelled: Json = {"index": {"number_of_shards": "1", "max_result_window": "20000"}}
    kept: Json = {"template": {"mappings": MAPPINGS, "settings": spelled}}
    return Installed({**documents, base: kept, **others}, fuses=True)


def summary(there: Installed) -> Summary:
    (found,) = summaries(there, {})
    return found


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param(
            {"engine": Engine.FAISS, "space_type": SpaceType.L2, "join": " ", "field": "v"}, id="every option"
        ),
    ],
)
def test_what_was_applied_has_not_drifted(options: dict[str, object]) -> None:
    there = installed(compiled(**options))

    assert drift(summary(there), there, MINILM) == ()
    assert overruled_by(summary(there), there) is None


def test_what_somebody_has_changed_or_taken_away_is_named() -> None:
    template = compiled()
    guard = naming.INGEST_PIPELINE + template.names.guard
    changed: Json = {"processors": [{"pipeline": {"name": "own"}}]}

    there = installed(template, without=naming.SEARCH_PIPELINE, **{guard: changed})
    without_companion = installed(template, without="--companion")

    assert drift(summary(there), there, MINILM) == (guard, naming.SEARCH_PIPELINE + template.names.search)
    assert drift(summary(without_companion), without_companion, MINILM) == ("/papers--companion",)


def test_a_companion_of_another_binding_is_named() -> None:
    template = compiled()
    of_another = compiled(source=("title",)).documents["/papers--companion"]

    there = installed(template, **{"/papers--companion": of_another})

    assert drift(summary(there), there, MINILM) == ("/papers--companion",)


@pytest.mark.parametrize(
    ("name", "component", "message"),
    [
        pytest.param("sidecar-papers-base", None, r"source: \[title\] is not a field of the base", id="an empty base"),
        pytest.param("sidecar-papers", {"composed_of": ["a"]}, "composed_of", id="another composition"),
    ],
)
def test_what_cannot_be_compiled_again_is_refused(name: str, component: Json, message: str) -> None:
    there = installed(compiled())
    of_ours = summary(there)
    kind = naming.INDEX_TEMPLATE if component else naming.COMPONENT_TEMPLATE
    broken = Installed({**there.documents, kind + name: component or {"template": {}}}, fuses=True)

    with pytest.raises(InvalidInput, match=message):
        drift(of_ours, broken, MINILM)


def test_a_template_that_wins_over_ours_is_named() -> None:
    there = installed(compiled(), **{"/_index_template/x": {"index_patterns": ["pap*"], "priority": 500}})

    assert overruled_by(summary(there), there) == "x"


def test_an_index_has_the_template_that_a_new_one_of_its_name_would_be_made_from() -> None:
    other: Json = {"index_patterns": ["papers-raw*"], "priority": 900}
    there = installed(compiled(), **{f"{naming.INDEX_TEMPLATE}raw": other})

    assert [template_for(name, there) for name in ("papers-old", "papers-raw-1", "notes")] == ["papers", None, None]
