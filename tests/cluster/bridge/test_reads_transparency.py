"""A read of a bound index is answered as one of an unbound index with the same documents, but for our two fields.

Each row goes to a bound index through the bridge, and to an unbound one directly. The bridge searches by words alone.
"""

import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sidecar.files import locked
from tests.cluster.bridges import Papers, ReadOnly, bulk_of
from tests.support.http import Answer
from tests.support.transparency import DOCUMENTS, MAPPING, Row, rows

UNBOUND = "transparent-simple"  # as long as the name of the bound one: errors name columns
# They differ between any two requests, or between any two indices.
_OF_A_REQUEST = frozenset(
    {"_node", "_scroll_id", "_shard", "index_uuid", "node", "stack_trace", "took", "took_in_millis"}
)  # fmt: skip
_OWN_HEADERS = ("content-type", "content-encoding", "warning")


@dataclass(frozen=True, slots=True)
class Pair:
    papers: Papers

    async def ask(self, row: Row) -> tuple[Answer, Answer]:
        """The answers about the bound index through the bridge, and about the unbound one."""
        return await self._one(row, self.papers.index), await self._one(row, UNBOUND)

    async def _one(self, row: Row, index: str) -> Answer:
        client = self.papers.direct if index == UNBOUND else self.papers.bridge
        wide = {b"\xff\xfe": "utf-16", b"\0\0\0": "utf-32-be"}
        coding = next((name for start, name in wide.items() if (row.body or b"").startswith(start)), None)
        body = row.body
        if body is not None and coding is not None:
            body = body.decode(coding).replace("INDEX", index).encode(coding)
        elif body is not None:
            body = body.replace(b"INDEX", index.encode())
        headers = {"X-Sidecar-Mode": "lexical", **row.headers}
        if body is not None:
            headers["Content-Type"] = row.content_type
        return await client.request(row.method, row.path.replace("INDEX", index), body, headers)


@pytest.fixture
async def pair(read_only: ReadOnly) -> Pair:
    papers = await read_only("transparent", DOCUMENTS, MAPPING)
    run = Path(os.environ["PYTEST_SIDECAR_RUN_DIRECTORY"])
    with locked(run / f"{UNBOUND}.lock"):
        is_filled = run / f"{UNBOUND}.filled"
        if not is_filled.exists():
            assert (await papers.direct("PUT", f"/{UNBOUND}", MAPPING)).status == 200
            written = await papers.direct("POST", f"/{UNBOUND}/_bulk?refresh=true", bulk_of(DOCUMENTS))
            assert written.json["errors"] is False
            is_filled.touch()
    return Pair(papers)


def comparable(answer: Answer, index: str) -> tuple[int, dict[str, str | None], Any]:
    """Status, headers and body of an answer, without the parts that differ between any two requests."""
    body = answer.body
    if answer.headers.get("Content-Encoding") in ("gzip", "deflate") and body:
        body = zlib.decompress(body, zlib.MAX_WBITS | 32)
    headers = {name: answer.headers.get(name) for name in _OWN_HEADERS}
    kind = answer.headers.get("Content-Type", "")
    if not body:
        return answer.status, headers, None
    if "cbor" in kind or "smile" in kind:
        return answer.status, headers, b"embedding_meta" in body
    text = body.decode().replace(index, "INDEX")
    if "yaml" in kind:  # the guard writes the members of a document in another order
        return answer.status, headers, sorted(line for line in text.splitlines() if not line.startswith("took"))
    return answer.status, headers, _without_what_differs(json.loads(text))


def _without_what_differs(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_what_differs(one) for name, one in value.items() if name not in _OF_A_REQUEST}
    if isinstance(value, list):
        return [_without_what_differs(one) for one in value]
    # An error names the line and column, and the unreadable parts of a document.
    return re.sub(r"\[-?[0-9a-f]{22,}\]", "[id]", value) if isinstance(value, str) else value


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.route} {row.option}") for row in rows()])
async def test_a_read_of_a_bound_index_is_the_clusters_own(pair: Pair, row: Row) -> None:
    through, direct = await pair.ask(row)

    ours, own = comparable(through, pair.papers.index), comparable(direct, UNBOUND)

    assert (ours == own) == (row.differs == ""), (ours, own)
