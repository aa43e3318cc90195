"""Which documents a fused search shows, and in which order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.searches.fusion.answer import Refused, read_legs
from sidecar.bridge.searches.fusion.arithmetic import ShardHits, fuse
from sidecar.bridge.searches.fusion.ranking import Candidates, ranking
from sidecar.bridge.searches.fusion.request import HitKey, Shard, plan_legs
from sidecar.model import Fusion

LEG = st.lists(st.tuples(st.integers(0, 30), st.floats(0.125, 8, width=32)), unique_by=lambda hit: hit[0], max_size=20)
KNN: dict[str, Any] = {"knn": {"embedding": {"vector": [1.0], "k": 2}}}


def hits(found: list[tuple[int, float]]) -> tuple[tuple[HitKey, float], ...]:
    return tuple(((0, number), score) for number, score in sorted(found, key=lambda hit: -hit[1]))


NUMBERS: dict[HitKey, int] = {(0, number): number for number in range(31)}


@given(LEG, LEG, st.integers(1, 10), st.integers(0, 20))
def test_more_lexical_hits_move_nothing_that_stands_before(
    words: list[tuple[int, float]], neighbours: list[tuple[int, float]], window: int, depth: int
) -> None:
    lexical, semantic = hits(words), hits(neighbours)
    shallow = ranking([ShardHits(lexical[: window + depth], semantic, NUMBERS)], window, Fusion())
    whole = ranking([ShardHits(lexical, semantic, NUMBERS)], window, Fusion())

    fused = fuse([ShardHits(lexical[:window], semantic[:window], NUMBERS)], Fusion())
    assert list(whole)[: len(fused)] == [document for document, _ in fused]
    assert list(whole.items())[: len(shallow)] == list(shallow.items())
    assert whole.keys() == {document for document, _ in (*lexical, *semantic)}
    assert list(whole.values()) == sorted(whole.values(), reverse=True)


def test_behind_the_fused_hits_come_the_other_neighbours_and_then_the_other_words() -> None:
    lexical, semantic = hits([(1, 4.0), (2, 2.0), (3, 1.0), (4, 0.5)]), hits([(1, 0.9), (5, 0.8), (3, 0.4)])
    ranked = ranking([ShardHits(lexical, semantic, NUMBERS)], 1, Fusion())

    assert {number: round(score, 5) for (_, number), score in ranked.items()} == {
        1: 1.0,
        5: 1.0,
        3: 0.5,
        2: 0.5,
        4: 0.125,
    }
    assert list(ranked.values()) == sorted(set(ranked.values()), reverse=True)  # no page ends between equal scores


def documents(*numbers: int) -> list[HitKey]:
    return [(0, number) for number in numbers]


def test_candidates_without_groups_come_in_their_order() -> None:
    candidates = Candidates(dict.fromkeys(documents(3, 1, 2), 1.0), {})

    assert candidates.take(2) == documents(3, 1)
    assert candidates.take(2) == documents(2)
    assert candidates.take(2) == []


def test_of_a_group_the_next_stands_in_for_one_that_has_gone() -> None:
    groups = dict(zip(documents(1, 2, 3, 4, 5), ["a", "a", None, "b", None], strict=True))
    candidates = Candidates(dict.fromkeys(groups, 1.0), groups)

    assert candidates.take(0) == []
    assert candidates.take(2) == documents(1, 3)
    candidates.show((0, 3))
    assert candidates.take(3) == documents(2, 4)  # 1 is not there any more; 3 is, so its group is done with
    candidates.show((0, 2))
    candidates.show((0, 4))
    assert candidates.take(9) == []


def leg(*hits: tuple[int, float, list[Any] | None]) -> dict[str, Any]:
    listed = [
        {"_seq_no": n, "_score": score, "sort": [score, n], **({} if values is None else {"fields": {"year": values}})}
        for n, score, values in hits
    ]
    return {"_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}, "hits": {"hits": listed}}


def grouped(*legs: dict[str, Any]) -> Any:
    body = {"query": {"match_all": {}}, "collapse": {"field": "year"}, "size": 2}
    search = plan_legs(body, KNN, 2, [Shard(0, "a")], {}, token="t")
    return read_legs(search, legs)


def test_every_candidate_has_its_group() -> None:
    found = grouped(leg((3, 1.0, [2001])), leg((1, 2.0, [2001]), (2, 1.0, None)))

    assert found.groups == dict(zip(documents(1, 2, 3), [2001, None, 2001], strict=True))
    assert found.is_cut  # the lexical leg has as many hits as it may


def test_a_field_of_several_values_is_the_clusters_to_refuse() -> None:
    assert grouped(leg((1, 2.0, [1, 2])), leg()) == Refused(400, None)
