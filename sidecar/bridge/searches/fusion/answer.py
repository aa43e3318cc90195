"""Reads the cluster's answers to both phases of a fused search, and composes one answer in the cluster's own shape.

Pure. If a leg fails on some shards, `_shards` shows it, as in the cluster. If it fails on all shards, its error is the
answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.bridge.searches.fusion.arithmetic import ShardHits
from sidecar.bridge.searches.fusion.legs import pages
from sidecar.bridge.searches.fusion.request import FusedSearch, HitKey
from sidecar.bridge.searches.rewrite.tie_breakers import Values
from sidecar.jsontext import Json, Object, at


@dataclass(frozen=True, slots=True)
class Refused:
    """An error of the cluster, which is the answer."""

    status: int
    body: Json


@dataclass(frozen=True, slots=True)
class Found:
    """The result of the first phase: the candidates of the legs, and the other parts of the answer."""

    shards: tuple[ShardHits[HitKey], ...]
    groups: Mapping[HitKey, Json]  # the value that a document is collapsed by. Empty without `collapse`
    values: Mapping[HitKey, Values]  # the values that decide between equal scores. Empty without such a `sort`
    is_cut: bool  # a lexical leg has as many hits as were asked for, so there may be more
    uncounted: tuple[HitKey, ...]  # vector hits that the lexical query may match or not
    extra: int  # the number of vector hits that the lexical query does not match
    total: int  # of the lexical query
    is_exact: bool
    timed_out: bool
    shards_header: Object
    summaries: Object
    pit: Json


def read_legs(search: FusedSearch, responses: Sequence[Object]) -> Found | Refused:
    """Read the answer to `legs_request`."""
    count = len(search.shards)
    semantic, lexical, whole = responses[:count], responses[count : 2 * count], responses[2 * count :]
    failure = _failure(search, lexical, semantic, whole)
    if failure is not None:
        return failure
    groups = _groups(search, (lexical, semantic))
    if groups is None:  # a field of several values, which the cluster itself refuses to collapse by
        return Refused(400, None)
    shards = tuple(_shard_hits(position, *legs) for position, legs in enumerate(zip(lexical, semantic, strict=True)))
    totals = [_total(item) for item in lexical]
    total, is_exact = sum(number for number, _ in totals), all(exact for _, exact in totals)
    is_counted = search.counted is not None and is_exact and total <= search.counted
    extra, uncounted = _beside(shards, totals) if is_counted else (0, [])
    summarised = whole[0] if whole else lexical[0]
    return Found(
        shards,
        groups,
        _values(lexical, semantic) if search.tie_breakers else {},
        any(len(hits.lexical) >= search.depth for hits in shards),
        tuple(uncounted),
        extra,
        total,
        is_exact,
        any(item.get("timed_out") is True for item in responses),
        _shards_header(search, (lexical, semantic)),
        {name: summarised[name] for name in ("aggregations", "suggest") if name in summarised},
        next((item["pit_id"] for item in responses if "pit_id" in item), None),
    )


def _beside(shards: Sequence[ShardHits[HitKey]], totals: Sequence[tuple[int, bool]]) -> tuple[int, list[HitKey]]:
    """The number of vector hits that the lexical query does not match, and the hits for which this is not known."""
    extra, uncounted = 0, list[HitKey]()
    for hits, (total, _) in zip(shards, totals, strict=True):
        known = {document for document, _ in hits.lexical}
        others = [document for document, _ in hits.semantic if document not in known]
        if total == len(hits.lexical):
            extra += len(others)
        else:
            uncounted += others
    return extra, uncounted


def _groups(search: FusedSearch, legs: Sequence[Sequence[Object]]) -> dict[HitKey, Json] | None:
    """The value that each document is collapsed by. A document without one has null, as in the cluster.

    Gives None if a document has several values.
    """
    if search.group_field is None:
        return {}
    found: dict[HitKey, Json] = {}
    for leg in legs:
        for position, item in enumerate(leg):
            for hit in _list(at(item, "hits", "hits")):
                values, number = _list(at(hit, "fields", search.group_field)), at(hit, "_seq_no")
                if len(values) > 1:
                    return None
                if isinstance(number, int):
                    found[position, number] = values[0] if values else None
    return found


def _values(*legs: Sequence[Object]) -> dict[HitKey, Values]:
    """The sort values of each document, without its score and its number."""
    return {
        (position, hit["_seq_no"]): hit["sort"][1:-1]
        for leg in legs
        for position, item in enumerate(leg)
        for hit in _hits(item)
    }


def read_page(
    search: FusedSearch, responses: Sequence[Object], documents: Sequence[HitKey], uncounted: Sequence[HitKey]
) -> tuple[dict[HitKey, Object], int] | Refused:
    """Read the answer to `page_request`.

    Gives the documents that still exist, and the number of the `uncounted` hits that the lexical query does not match.
    """
    for item in responses:
        if "error" in item:
            return _error(item)
    positions = list(pages(documents))
    fetched = {
        (position, hit["_seq_no"]): hit
        for position, item in zip(positions, responses, strict=False)
        for hit in _list(_dict(item.get("hits")).get("hits"))
        if isinstance(hit, dict) and isinstance(hit["_seq_no"], int)
        if hit["_index"] == search.shards[position].index  # an alias may have moved to another index
    }
    matched = sum(_total(item)[0] for item in responses[len(positions) :])
    return fetched, len(uncounted) - matched


def compose(
    search: FusedSearch,
    found: Found,
    hits: Sequence[tuple[Object, float]],
    *,
    extra: int,
    max_score: float | None,
    took: int,
) -> Object:
    """Compose the answer. `extra` is the number of vector hits that the lexical query does not match."""
    is_scored = "sort" not in search.body or search.body.get("track_scores") is True
    listed: Object = {
        "max_score": max_score if is_scored else None,
        "hits": [_shown(search, hit, score) for hit, score in hits],
    }
    if search.counted is not None:
        total = found.total + extra
        is_exact = found.is_exact and total <= search.counted
        total, relation = (total, "eq") if is_exact else (min(total, search.counted), "gte")
        listed = {"total": total if search.totals_as_number else {"value": total, "relation": relation}, **listed}
    elif search.totals_as_number:
        listed = {"total": -1, **listed}
    return {
        **({} if found.pit is None else {"pit_id": found.pit}),
        "took": took,
        "timed_out": found.timed_out,
        "_shards": found.shards_header,
        "hits": listed,
        **found.summaries,
    }


def _shown(search: FusedSearch, hit: Object, score: float) -> Object:
    """A hit with its fused score, and without members that the client has not asked for."""
    shown = {**hit, "_score": score}
    if "sort" in search.body:
        shown["sort"] = [score, *_list(hit.get("sort"))[1:]]
    if search.body.get("seq_no_primary_term") is not True:
        del shown["_seq_no"], shown["_primary_term"]
    return shown


def _failure(
    search: FusedSearch, lexical: Sequence[Object], semantic: Sequence[Object], whole: Sequence[Object]
) -> Refused | None:
    """The error that is the answer: a leg failed on all shards, or on some and the client wants no partial results.

    None if there is no such error.
    """
    takes_part = search.header.get("allow_partial_search_results") != "false"
    for leg in (whole, lexical, semantic):
        errors = [item for item in leg if "error" in item]
        if errors and (len(errors) == len(leg) or not takes_part):
            return _error(errors[0])
    return None


def _error(item: Object) -> Refused:
    status = item.get("status")
    return Refused(status if isinstance(status, int) else 500, item)


def _shards_header(search: FusedSearch, legs: Sequence[Sequence[Object]]) -> Object:
    """The `_shards` of one search. A shard has failed if one of the legs failed on it."""
    if search.pit is not None:
        return _shards_of_point(legs)
    sums = {"total": 0, "successful": 0, "skipped": 0, "failed": 0}
    failures: list[Json] = []
    # A request of a leg goes to the shards of one number in all indices, and its filter selects one index. So the first
    # request of each number represents all of them.
    first_of: dict[int, int] = {}
    for position, shard in enumerate(search.shards):
        first_of.setdefault(shard.number, position)
    for position in first_of.values():
        counts, failed = max((_shards(leg[position]) for leg in legs), key=_failed)
        for name in sums:
            sums[name] += counts.get(name, 0)
        failures += failed
    return {**sums, **({"failures": failures} if failures else {})}


def _shards_of_point(legs: Sequence[Sequence[Object]]) -> Object:
    """The `_shards` of a search of a point in time.

    There each request goes to all shards and looks at one. So several answers may report the failure of one shard.
    """
    described = [_shards(item) for leg in legs for item in leg]
    failures = {(str(at(f, "index")), str(at(f, "shard"))): f for _, failed in described for f in failed}
    total, skipped = (max(counts.get(name, 0) for counts, _ in described) for name in ("total", "skipped"))
    header: Object = {"total": total, "successful": total - len(failures), "skipped": skipped, "failed": len(failures)}
    return {**header, **({"failures": list(failures.values())} if failures else {})}


def _shards(item: Object) -> tuple[dict[str, int], list[Json]]:
    if "error" in item:
        failures = _list(_dict(item["error"]).get("failed_shards"))
        count = max(1, len(failures))
        return {"total": count, "failed": count}, failures
    described = _dict(item.get("_shards"))
    counts = {name: value for name, value in described.items() if isinstance(value, int)}
    return counts, _list(described.get("failures"))


def _failed(described: tuple[dict[str, int], list[Json]]) -> int:
    return described[0].get("failed", 0)


def _shard_hits(position: int, lexical: Object, semantic: Object) -> ShardHits[HitKey]:
    """The hits of both legs. Hits whose score is no number are left out: the cluster writes null or `"Infinity"`."""
    legs, numbers = [], dict[HitKey, int]()
    for item in (lexical, semantic):
        hits = [((position, hit["_seq_no"]), hit) for hit in _hits(item) if isinstance(hit["_score"], float)]
        numbers |= {document: hit["sort"][-1] for document, hit in hits}
        legs.append([(document, hit["_score"]) for document, hit in hits])
    words, neighbours = legs
    return ShardHits(words, neighbours, numbers)


def _hits(item: Object) -> Any:
    """The hits of a leg. They are many, so their form is not checked."""
    return _list(_dict(item.get("hits")).get("hits"))


def _total(item: Object) -> tuple[int, bool]:
    """The number of hits, and whether it is exact. A failed shard has exactly none."""
    total = _dict(_dict(item.get("hits")).get("total"))
    value = total.get("value")
    return (value, total.get("relation") == "eq") if isinstance(value, int) else (0, "error" in item)


def _dict(value: Json) -> Object:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
