"""Model versions, their space, and bindings as they stand in `_meta`."""

import pytest
from pydantic import ValidationError

from sidecar.errors import InvalidInput
from sidecar.model import Fusion, IndexBinding, ModelVersion, Prompts, Provenance, Role, SearchBinding, SpaceType, State
from tests.support.bindings import SPACE, a_binding, bound


def a_version(**changes: object) -> ModelVersion:
    facts: dict[str, object] = {
        "id": "m@1",
        "weights": {"model.safetensors": "0" * 64},
        "tokenizer": "1" * 64,
        "pooling": "mean",
        "max_tokens": 256,
        "normalized": True,
        "dimension": 384,
    }
    return ModelVersion.model_validate(facts | changes)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {"model.safetensors": "2" * 64}},
        {"tokenizer": "2" * 64},
        {"pooling": "cls"},
        {"prompts": {"query": "query: "}},
        {"max_tokens": 128},
        {"normalized": False},
        {"dimension": 128},
        {"reduction": {"pca": "3" * 64}},
        {"calibration": {"scale": 1}},
        {"element_type": "byte"},
    ],
)
def test_whatever_changes_the_numbers_changes_the_space(change: dict[str, object]) -> None:
    assert a_version(**change).space != a_version().space


@pytest.mark.parametrize("change", [{"id": "other@2"}, {"description": "x"}, {"space_type": SpaceType.INNERPRODUCT}])
def test_names_and_the_metric_do_not_change_the_space(change: dict[str, object]) -> None:
    assert a_version(**change).space == a_version().space


def test_the_space_is_pinned() -> None:
    assert a_version().space == "sha256:dfa2e1fd9d246126b90652fb7f5c49c67876f58c006cd9c105a78eaf586ea283"


@pytest.mark.parametrize("name", ["M@1", "m", "m@0", "m@", "@1", "m@01", "a/b@1"])
def test_an_id_that_is_not_one_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        a_version(id=name)


def test_prompts_by_role() -> None:
    prompts = Prompts(passage="p: ", query="q: ")

    assert (prompts.of(Role.PASSAGE), prompts.of(Role.QUERY)) == ("p: ", "q: ")


def test_a_binding_survives_the_mapping() -> None:
    binding = bound(a_binding(), a_binding("second", source=("body",)))

    assert IndexBinding.from_meta({"sidecar": binding.to_meta(), "owner": "somebody"}) == binding


@pytest.mark.parametrize(
    "meta",
    [None, {}, {"sidecar": 1}, {"sidecar": {"schema": 3, "fields": {}}}, {"sidecar": {"fields": {}}}],
)
def test_no_binding_or_one_of_an_unknown_schema_is_none(meta: object) -> None:
    assert IndexBinding.from_meta(meta) is None


@pytest.mark.parametrize(
    ("fields", "search", "message"),
    [
        pytest.param([], None, "_meta.sidecar.fields: must be an object, not [[]]", id="fields is a list"),
        pytest.param({"f": {}}, None, "_meta.sidecar.fields.f.model: Field required", id="no model"),
        pytest.param({"f": a_binding("f").model_dump(mode="json", exclude={"field"}) | {"space": "x"}}, None,
                     "_meta.sidecar.fields.f.space: String should match pattern '^sha256:[0-9a-f]{64}$'", id="no space"),
        pytest.param({"f": a_binding("f").model_dump(mode="json", exclude={"field"})}, {"field": "g"},
                     "_meta.sidecar: Value error, search.field [g] is not one of the bound fields", id="search field"),
    ],
)  # fmt: skip
def test_a_broken_binding_is_named(fields: object, search: object, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        IndexBinding.from_meta({"sidecar": {"schema": 2, "fields": fields, "search": search}})

    assert str(caught.value) == message


def test_weights_of_a_fusion_add_up_to_one() -> None:
    with pytest.raises(ValidationError, match="add up to 1"):
        Fusion(weights=(0.5, 0.6))


def test_a_binding_names_its_provenance_field_and_search_its_defaults() -> None:
    search = SearchBinding(field="embedding")

    assert a_binding().meta_field == "embedding_meta"
    assert (search.mode, search.window, search.k, search.fusion.weights) == ("hybrid", 100, 100, (0.5, 0.5))
    assert a_binding().space == SPACE


def test_what_is_not_known_is_left_out_of_a_provenance() -> None:
    assert Provenance(hash="h", state=State.PENDING).to_source() == {"hash": "h", "pending": 1}
