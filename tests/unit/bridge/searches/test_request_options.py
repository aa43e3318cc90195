"""What a client may ask of one request's searches, and what becomes of the binding under it."""

from dataclasses import replace

import pytest

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.proxy.headers import SEARCH_OPTIONS, to_upstream
from sidecar.bridge.proxy.query_string import without_parameters
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.request_options import RequestOptions, read_options
from sidecar.bridge.searches.rewrite.plan import TextSearch, plan_search, rewrite
from sidecar.errors import InvalidInput
from sidecar.jsontext import Object
from sidecar.model import Fusion, SearchBinding
from tests.support.bindings import a_binding, an_index, an_unbound_index, bound

BODY: Object = {"query": {"multi_match": {"query": "dogs", "fields": ["title", "abstract"]}}}
OTHER_SPACE = "sha256:" + "b" * 64


def tuned(**search: object) -> BoundIndex:
    return an_index(binding=bound(search=SearchBinding.model_validate({"field": "embedding", **search})))


def planned(index: BoundIndex, **parameters: str) -> TextSearch:
    options = read_options(parameters, {})
    plan = plan_search(BODY, (options.applied_to(index),), options.mode, {})
    assert isinstance(plan, TextSearch)
    return plan


def test_nothing_asked_for_changes_nothing() -> None:
    index = an_index()

    assert read_options({"size": "3"}, {"X-Opaque-Id": "7"}) == RequestOptions()
    assert RequestOptions().applied_to(index) is index
    assert read_options({"sidecar": "hybrid"}, {}).applied_to(index) is index


@pytest.mark.parametrize(
    ("bound_as", "asked", "expected"),
    [
        pytest.param({}, {"sidecar_weights": "0.3,0.7"}, {"fusion": Fusion(weights=(0.3, 0.7))}, id="weights"),
        pytest.param({}, {"sidecar_k": "200", "sidecar_window": "50"}, {"k": 200, "window": 50}, id="depths"),
        pytest.param({"fusion": {"weights": (0.3, 0.7)}}, {"sidecar_fusion": "l2"},
                     {"fusion": Fusion(technique="l2", weights=(0.3, 0.7))}, id="a technique keeps the weights"),
        pytest.param({}, {"sidecar_fusion": "min_max:harmonic_mean"},
                     {"fusion": Fusion(combination="harmonic_mean")}, id="a combination"),
        pytest.param({"fusion": {"combination": "harmonic_mean"}}, {"sidecar_fusion": "z_score"},
                     {"fusion": Fusion(technique="z_score")}, id="a technique comes with the default combination"),
        pytest.param({"fusion": {"weights": (0.3, 0.7)}}, {"sidecar_fusion": "rrf"},
                     {"fusion": Fusion(technique="rrf")}, id="rrf has weights of its own"),
        pytest.param({}, {"sidecar_fusion": "l2", "sidecar_weights": "1,0"},
                     {"fusion": Fusion(technique="l2", weights=(1.0, 0.0))}, id="both"),
    ],
)  # fmt: skip
def test_what_is_asked_for_stands_in_for_the_binding(
    bound_as: dict[str, object], asked: dict[str, str], expected: dict[str, object]
) -> None:
    wished = read_options(asked, {}).applied_to(tuned(**bound_as))

    assert wished == tuned(**{**bound_as, **expected})


def test_parameters_win_over_headers_and_both_are_taken_off() -> None:
    options = read_options({"sidecar_k": "7"}, {"X-Sidecar-K": "8", "X-Sidecar-Window": "9"})

    assert options.given == {"sidecar_k": ("sidecar_k", "7"), "sidecar_window": ("X-Sidecar-Window", "9")}
    assert without_parameters("sidecar_k=7&size=2&sidecar=off&sidecar_weights=1%2C0", *SEARCH_OPTIONS) == "size=2"
    assert to_upstream([(name, "1") for name in SEARCH_OPTIONS.values()], None) == [("Via", "1.1 sidecar")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param({"sidecar": "best"}, "sidecar: must be one of off, lexical, semantic, hybrid, not [best]", id="mode"),
        pytest.param({"sidecar_k": "0"}, "sidecar_k: Input should be greater than or equal to 1; got [0]", id="k of 0"),
        pytest.param({"sidecar_k": ""}, "sidecar_k: Input should be a valid integer, unable to parse string as an integer; got []",
                     id="no k"),
        pytest.param({"sidecar_window": "10001"}, "sidecar_window: Input should be less than or equal to 10000; got [10001]",
                     id="too wide a window"),
        pytest.param({"sidecar_weights": "0.3,0.3"}, "sidecar_weights: weights must not be negative and must add up to 1; got [0.3,0.3]",
                     id="weights that do not add up"),
        pytest.param({"sidecar_weights": "nan,1"}, "sidecar_weights: weights must not be negative and must add up to 1; got [nan,1]",
                     id="not a number"),
        pytest.param({"sidecar_weights": "0.5"}, "sidecar_weights: Field required; got [0.5]", id="one weight"),
        pytest.param({"sidecar_weights": "a,b"},
                     "sidecar_weights: Input should be a valid number, unable to parse string as a number; got [a,b]", id="words"),
        pytest.param({"sidecar_fusion": "best"}, "sidecar_fusion: Input should be 'min_max', 'l2', 'z_score' or 'rrf'; got [best]",
                     id="technique"),
        pytest.param({"sidecar_fusion": "min_max:"}, "sidecar_fusion: Input should be 'arithmetic_mean', 'geometric_mean' or "
                     "'harmonic_mean'; got [min_max:]", id="combination"),
        pytest.param({"sidecar_fusion": "z_score:harmonic_mean"},
                     "sidecar_fusion: z_score goes with arithmetic_mean only; got [z_score:harmonic_mean]", id="z_score"),
        pytest.param({"sidecar_fusion": "rrf", "sidecar_weights": "0.3,0.7"},
                     "sidecar_fusion: rrf weighs both legs alike; got [rrf]", id="rrf with weights"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_whatever_is_searched(asked: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_options(asked, {})

    assert str(caught.value) == message


def test_a_header_is_named_as_the_client_wrote_it() -> None:
    with pytest.raises(InvalidInput, match=r"^X-Sidecar-K: .* got \[many\]$"):
        read_options({}, {"X-Sidecar-K": "many"})


def test_weights_that_the_bindings_technique_does_not_have_are_refused() -> None:
    options = read_options({"sidecar_weights": "0.3,0.7"}, {})

    with pytest.raises(InvalidInput, match=r"^sidecar_weights: rrf weighs both legs alike; got \[0.3,0.7\]$"):
        options.applied_to(tuned(fusion={"technique": "rrf"}))


@pytest.mark.parametrize(
    ("asked", "note"),
    [
        pytest.param({"sidecar_k": "200"}, "hybrid; model=m@1; fusion=min_max(0.5,0.5); where=cluster; k=200; window=100",
                     id="k"),
        pytest.param({"sidecar_k": "20"}, "hybrid; model=m@1; fusion=min_max(0.5,0.5); where=cluster; k=100; window=100",
                     id="k is never below the window"),
        pytest.param({"sidecar_fusion": "l2:geometric_mean", "sidecar_weights": "0.3,0.7"},
                     "hybrid; model=m@1; fusion=l2:geometric_mean(0.3,0.7); where=cluster", id="fusion"),
        pytest.param({"sidecar": "semantic", "sidecar_k": "200"}, "semantic; model=m@1; k=200; window=100", id="semantic"),
    ],
)  # fmt: skip
def test_the_note_says_what_was_used(asked: dict[str, str], note: str) -> None:
    options = read_options(asked, {})
    plan = plan_search(BODY, (options.applied_to(an_index()),), options.mode, {})

    assert isinstance(plan, TextSearch)
    assert replace(plan, tells_depth=options.sets_depth).note == note


def two_models(**changes: object) -> BoundIndex:
    fields = (a_binding(), a_binding("newer", source=("abstract",), model="m@2", space=OTHER_SPACE))
    return an_index(binding=bound(*fields), **changes)


def test_a_model_version_picks_its_vector_field() -> None:
    plan = planned(two_models(), sidecar_model="m@2", sidecar="semantic")

    assert plan.note == "semantic; model=m@2"
    sent = rewrite(BODY, plan, ([1.0, 0.0],), ())
    assert sent["query"] == {"knn": {"newer": {"vector": [1.0, 0.0], "k": 100}}}


def test_a_model_whose_sources_the_client_does_not_all_see_is_not_searched() -> None:
    index = read_options({"sidecar_model": "m@2"}, {}).applied_to(two_models(unseen=frozenset({"newer"})))

    plan = plan_search(BODY, (index,), None, {})

    assert plan.note == f"lexical; reason={Reason.HIDDEN_SOURCE}"


def test_what_the_bindings_field_hides_does_not_matter_to_another() -> None:
    index = two_models(unseen=frozenset({"embedding"}), sees_all_sources=False)

    assert planned(index, sidecar_model="m@2", sidecar="semantic").binding.field == "newer"


@pytest.mark.parametrize(
    ("index", "model", "there"),
    [
        pytest.param(two_models(), "x@1", "embedding: m@1, newer: m@2", id="none"),
        pytest.param(an_index(binding=bound(a_binding(), a_binding("a", model="m@2"), a_binding("b", model="m@2"))), "m@2",
                     "embedding: m@1, a: m@2, b: m@2", id="several"),
    ],
)  # fmt: skip
def test_a_model_version_that_is_not_the_one_of_one_field_is_refused(index: BoundIndex, model: str, there: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_options({}, {"X-Sidecar-Model": model}).applied_to(index)

    assert str(caught.value) == (
        f"X-Sidecar-Model: must be the model of one vector field of index [papers] ({there}); got [{model}]"
    )


def test_what_is_not_bound_is_left_alone() -> None:
    options = read_options({"sidecar_model": "m@2", "sidecar_k": "5"}, {})
    unbound = an_unbound_index()

    assert options.applied_to(unbound) is unbound
    assert options.mode is None


def test_indices_that_are_bound_alike_under_the_wish_are_searched_together() -> None:
    options = read_options({"sidecar_weights": "0.3,0.7"}, {})
    other = tuned(fusion={"weights": (0.4, 0.6)})

    plan = plan_search(BODY, tuple(map(options.applied_to, (an_index(), other))), Mode.HYBRID, {})

    assert plan.note == "hybrid; model=m@1; fusion=min_max(0.3,0.7); where=cluster"
