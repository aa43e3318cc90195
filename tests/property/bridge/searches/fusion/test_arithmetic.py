"""What holds for every way of fusing: nothing lost, nothing twice, best first, and nobody pushed down by a better score."""

import itertools
import math

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.bridge.searches.fusion.arithmetic import ShardHits, fuse
from sidecar.model import Fusion

SCORES = st.floats(0.0078125, 50, width=32)
LEG = st.lists(st.tuples(st.integers(0, 30), SCORES), max_size=12, unique_by=lambda hit: hit[0]).map(
    lambda hits: sorted(hits, key=lambda hit: -hit[1])
)
SHARDS = st.lists(st.tuples(LEG, LEG), min_size=1, max_size=4)
WEIGHTS = st.sampled_from([(0.5, 0.5), (0.3, 0.7), (1.0, 0.0), (0.0, 1.0)])
FUSIONS = st.one_of(
    st.builds(
        Fusion,
        technique=st.sampled_from(["min_max", "l2"]),
        combination=st.sampled_from(["arithmetic_mean", "geometric_mean", "harmonic_mean"]),
        weights=WEIGHTS,
    ),
    st.builds(Fusion, technique=st.just("z_score"), weights=WEIGHTS),
    st.just(Fusion(technique="rrf")),
)


def hits_of(shards: list[tuple[list[tuple[int, float]], list[tuple[int, float]]]]) -> list[ShardHits[tuple[int, int]]]:
    def on(shard: int, leg: list[tuple[int, float]]) -> list[tuple[tuple[int, int], float]]:
        return [((shard, key), score) for key, score in leg]

    numbers = {(n, key): key for n in range(len(shards)) for key in range(31)}
    return [ShardHits(on(n, lexical), on(n, semantic), numbers) for n, (lexical, semantic) in enumerate(shards)]


@given(SHARDS, FUSIONS)
def test_every_document_once_best_first(
    shards: list[tuple[list[tuple[int, float]], list[tuple[int, float]]]], fusion: Fusion
) -> None:
    hits = hits_of(shards)
    fused = fuse(hits, fusion)

    found = {key for shard in hits for key, _ in (*shard.lexical, *shard.semantic)}
    assert sorted(key for key, _ in fused) == sorted(found)
    scores = [score for _, score in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(math.isfinite(score) and score >= 0 for score in scores)


@given(SHARDS, st.sampled_from(["min_max", "l2"]))
@example([([(1, 16.0), (0, 0.03125), (2, 0.015625)], [])], "min_max")
def test_one_leg_alone_keeps_its_order(
    shards: list[tuple[list[tuple[int, float]], list[tuple[int, float]]]], technique: str
) -> None:
    hits = [ShardHits(shard.lexical, [], shard.numbers) for shard in hits_of(shards)]
    raw = {key: score for shard in hits for key, score in shard.lexical}

    order = [raw[key] for key, _ in fuse(hits, Fusion(technique=technique))]

    # min_max lifts the least hit to 0.001, past those that come to less; so does the cluster.
    lifted = 0.001 * (max(order) - min(order)) * (1 + 1e-4) if technique == "min_max" and order else 0.0
    assert all(
        first >= second - lifted or math.isclose(first, second, rel_tol=1e-4)
        for first, second in itertools.pairwise(order)
    )
