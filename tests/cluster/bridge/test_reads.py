"""Reads of documents through the bridge."""

from tests.cluster.bridges import Papers


async def test_reads_leave_our_fields_out_unless_asked(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats"})

    plain = await papers.bridge("GET", f"/{papers.index}/_doc/1")
    source = await papers.bridge("GET", f"/{papers.index}/_source/1")
    several = await papers.bridge("POST", f"/{papers.index}/_mget", {"ids": ["1"]})
    shown = await papers.bridge("GET", f"/{papers.index}/_doc/1", X_Sidecar_Source="1")

    assert plain.json["_source"] == source.json == several.json["docs"][0]["_source"] == {"title": "Cats"}
    assert {"embedding", "embedding_meta"} <= shown.json["_source"].keys()
