"""Searches in odd bytes are read as the cluster reads them, and a query without a word is no text."""

import pytest

from tests.cluster.bridges import Papers
from tests.support.http import ndjson

QUERY = '{"query":{"match":{"title":"animals %s that purr"}}}'
SEARCHES: dict[str, bytes] = {
    "a BOM": b"\xef\xbb\xbf" + QUERY.encode(),
    "comments": b"/* } */" + QUERY.encode() + b"// } ",
    "half a surrogate pair, raw": QUERY.encode().replace(b"%s", b"\xed\xa0\xbd"),
    "CESU-8": QUERY.encode().replace(b"%s", b"\xed\xa0\xbd\xed\xb8\x80"),
    "C0 80": QUERY.encode().replace(b"%s", b"\xc0\x80"),
}


@pytest.mark.parametrize("row", SEARCHES)
async def test_a_search_in_odd_bytes_is_hybrid(papers: Papers, row: str) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats purr"})
    search = SEARCHES[row]

    one = await papers.bridge("POST", f"/{papers.index}/_search", search)
    header = b'\xef\xbb\xbf{"index":"%b"}/* { */\n' % papers.index.encode()
    several = await papers.bridge("POST", "/_msearch", header + search + b"\n" + ndjson({}, {}))

    direct = await papers.direct("POST", f"/{papers.index}/_search", search)
    assert one.status == direct.status == 200
    assert one.headers["X-Sidecar-Search"].startswith("hybrid")
    assert several.headers["X-Sidecar-Search"].startswith("msearch; hybrid=1")


@pytest.mark.parametrize("query", ["", " ", "\u200b", "?", "...", "\u0000", "--"])
async def test_a_query_without_a_word_is_lexical(papers: Papers, query: str) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats purr"})

    answer = await papers.bridge("POST", f"/{papers.index}/_search", {"query": {"match": {"title": query}}})

    assert answer.headers["X-Sidecar-Search"] == "lexical; reason=no_text"
    assert answer.json["hits"]["hits"] == []
