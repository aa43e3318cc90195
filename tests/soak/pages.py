"""Pages that the bridge fuses while documents change, held against the cluster's own fusion of the full legs."""

import asyncio
from itertools import islice

from sidecar.model import Fusion
from tests.support.corpus import DOCUMENTS, Corpus, Interrupted, processor, same

_CHANGES = 6  # documents that are written beside each page
_ALL = 300  # more than the legs of all shards hold together


async def differing_pages(corpus: Corpus, rounds: int) -> list[str]:
    """What was wrong with each page that was not the reference's; as many pages as `rounds`.

    Writes go on all the time; in each second round they become visible between the legs and the page, so that what
    was changed since the last refresh must be replaced by the next hits.
    """
    names = sorted({shard.index for shard in corpus.shards})
    wrong: list[str] = []
    written: set[str] = set()
    for number in range(rounds):
        legs = corpus.legs()
        reference = await corpus.in_cluster(legs, processor(Fusion()), size=_ALL, _source=False)
        index = names[number % len(names)]
        changed = [corpus.drawn.randrange(DOCUMENTS) for _ in range(_CHANGES)]
        written |= {f"{index[-1]}{i}" for i in changed}
        is_shown = number % 2 == 1
        start = number % 5
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(corpus.write(index, changed, refresh=False))

            async def between(writing: asyncio.Task[None] = writing, is_shown: bool = is_shown) -> None:
                if is_shown:
                    await writing
                    await corpus.call("POST", f"/{corpus.expression}/_refresh")

            upstream = Interrupted(corpus.upstream, between)
            page = await corpus.in_bridge(legs, Fusion(), upstream=upstream, **{"from": start, "size": 10})
        gone = written if is_shown else set()
        kept = (hit for hit in reference["hits"]["hits"][start:] if hit["_id"] not in gone)
        try:
            same(page["hits"]["hits"], list(islice(kept, 10)))
        except AssertionError as error:
            found = [(hit["_id"], hit["_score"]) for hit in page["hits"]["hits"]]
            wrong.append(f"round {number}: {found} {error}")
        if is_shown:
            written = set()
    return wrong
