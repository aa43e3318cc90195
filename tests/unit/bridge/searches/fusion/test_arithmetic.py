"""The plugin's arithmetic, by hand: what is floored, what counts when a leg misses a document, and who comes first."""

import pytest

from sidecar.bridge.searches.fusion.arithmetic import ShardHits, fuse
from sidecar.model import Fusion

NUMBERS = {"a": 0, "b": 1, "c": 2, "d": 3}


def fused(
    lexical: list[tuple[str, float]], semantic: list[tuple[str, float]], **fusion: object
) -> list[tuple[str, float]]:
    return fuse([ShardHits(lexical, semantic, NUMBERS)], Fusion.model_validate(fusion))


@pytest.mark.parametrize(
    ("technique", "expected"),
    [
        pytest.param("min_max", {"a": 0.5, "b": 0.5 * 0.5, "c": 0.5 * 0.001 + 0.5}, id="min_max: the last is floored"),
        pytest.param("l2", {"a": 0.5 * 3 / 14**0.5, "b": 0.5 * 2 / 14**0.5, "c": 0.5 / 14**0.5 + 0.5}, id="l2"),
        pytest.param("z_score", {"a": 0.5, "b": 0.5 * 3, "c": 0.5 * 0.001 + 0.5 * 0.9},
                     id="z_score: below the mean floored, at the mean the greatest raw score"),
        pytest.param("rrf", {"a": 1 / 61, "b": 1 / 62, "c": 1 / 63 + 1 / 61}, id="rrf: ranks only, unweighted"),
    ],
)  # fmt: skip
def test_normalisation(technique: str, expected: dict[str, float]) -> None:
    assert dict(fused([("a", 3), ("b", 2), ("c", 1)], [("c", 0.9)], technique=technique)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("combination", "expected"),
    [
        pytest.param("arithmetic_mean", {"a": 0.3, "b": 0.3 * 0.001 + 0.7, "c": 0.7 * 0.001}, id="arithmetic"),
        pytest.param("geometric_mean", {"a": 1, "b": 0.001**0.3, "c": 0.001}, id="geometric: what is missing is left out"),
        pytest.param("harmonic_mean", {"a": 1, "b": 1 / (0.3 / 0.001 + 0.7), "c": 0.001},
                     id="harmonic: what is missing is left out"),
    ],
)  # fmt: skip
def test_combination(combination: str, expected: dict[str, float]) -> None:
    found = fused([("a", 2), ("b", 1)], [("b", 0.9), ("c", 0.1)], combination=combination, weights=(0.3, 0.7))

    assert dict(found) == pytest.approx(expected)


@pytest.mark.parametrize("combination", ["arithmetic_mean", "geometric_mean", "harmonic_mean"])
def test_a_leg_without_weight_does_not_count(combination: str) -> None:
    found = fused([("a", 2), ("b", 1)], [("c", 0.9)], combination=combination, weights=(1, 0))

    assert dict(found)["c"] == 0


@pytest.mark.parametrize("technique", ["min_max", "l2", "z_score", "rrf"])
def test_nothing_found_is_nothing_fused(technique: str) -> None:
    assert fused([], [], technique=technique) == []


@pytest.mark.parametrize("technique", ["min_max", "z_score"])
def test_equal_scores_are_not_floored(technique: str) -> None:
    found = fused([("a", 1), ("b", 1)], [], technique=technique)

    assert found == [("a", 0.5), ("b", 0.5)]


def test_scores_of_zero_have_no_l2_norm() -> None:
    assert fused([("a", 0)], [("b", 0)], technique="l2") == [("a", 0), ("b", 0)]


def test_shards_are_normalised_together_but_ranked_apart() -> None:
    shards = [ShardHits([("a", 4.0), ("b", 2.0)], [], NUMBERS), ShardHits([("c", 3.0)], [], NUMBERS)]

    assert fuse(shards, Fusion()) == [("a", 0.5), ("c", 0.25), ("b", pytest.approx(0.0005))]
    assert [key for key, _ in fuse(shards, Fusion(technique="rrf"))] == ["a", "c", "b"]


def test_equal_scores_keep_the_order_of_shards_then_that_of_lucenes_numbers() -> None:
    shards = [ShardHits([("b", 1.0)], [("a", 1.0)], NUMBERS), ShardHits([("d", 1.0)], [("c", 1.0)], NUMBERS)]

    assert [key for key, _ in fuse(shards, Fusion())] == ["a", "b", "c", "d"]


def order_of(*numbers: int) -> list[int]:
    """The order of documents with these numbers and equal scores, found in this order."""
    return [key for key, _ in fuse([ShardHits([(n, 1.0) for n in numbers], [], {n: n for n in numbers})], Fusion())]


def test_equal_scores_on_one_shard_have_the_order_of_a_java_hash_map() -> None:
    assert order_of(17, 2, 16, 31) == [16, 17, 2, 31]  # modulo 16
    assert order_of(1, 17, 33) == [33, 17, 1]  # in one place the last comes first
    assert order_of(*range(32, 19, -1)) == [32, *range(20, 32)]  # more than twelve: modulo 32
    assert order_of(65_536, 0, 2) == [0, 65_536, 2]  # the upper half counts too
