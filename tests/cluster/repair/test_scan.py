"""Which documents are read."""

import pytest

from sidecar.errors import ClusterRefused
from sidecar.repair.report import Report
from tests.cluster.repair.test_passes import (
    Notes,
    notes,  # noqa: F401 - fixtures
    outcomes,
)


async def test_routing_is_kept(notes: Notes) -> None:
    lines = [line for n in range(8) for line in ({"index": {"_id": "same", "routing": str(n)}}, {"title": f"t{n}"})]
    await notes.bulk(*lines)
    documents = len((await notes.call("GET", f"/{notes.index}/_count?q=*")) and (await notes.stored()))

    report = await notes.repaired()

    assert documents == 1  # by id, but there is one in each shard
    assert outcomes(report) == {"repaired": 2}
    await notes.assert_right()


async def test_names_may_be_aliases_wildcards_and_data_streams(notes: Notes, unique: str) -> None:
    stream = f"{unique}-stream"
    await notes.call("PUT", f"/_index_template/{stream}", {
        "index_patterns": [stream], "priority": 500, "data_stream": {}, "composed_of":
        (await notes.call("GET", f"/_index_template/sidecar-{unique}"))["index_templates"][0]["index_template"]["composed_of"],
    })  # fmt: skip
    await notes.call("PUT", f"/{notes.index}/_alias/{unique}-alias")
    await notes.call("PUT", f"/_data_stream/{stream}")
    await notes.call("POST", f"/{stream}/_doc", {"@timestamp": "2026-01-01", "title": "s"})
    await notes.put(a={"title": "a"})
    try:
        streamed = await notes.repaired(stream)
        await notes.put(a={"title": "b"})
        aliased = await notes.repaired(f"{unique}-alias")
        everything = await notes.repaired(f"{unique}-*")
    finally:
        await notes.call("DELETE", f"/_data_stream/{stream}")
        await notes.call("DELETE", f"/_index_template/{stream}")

    assert [(index.index, outcomes(Report((index,)))) for index in streamed.indices] == [
        (f".ds-{stream}-000001", {"repaired": 1})
    ]
    assert [(index.index, outcomes(Report((index,)))) for index in aliased.indices] == [(notes.index, {"repaired": 1})]
    assert {index.index for index in everything.indices} >= {f".ds-{stream}-000001", notes.index}
    assert everything.is_right
    with pytest.raises(ClusterRefused, match="no such index"):
        await notes.scan().targets((f"{unique}-nowhere",))
