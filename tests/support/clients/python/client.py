"""opensearch-py: writes and asks as the README does, and prints one line of JSON."""

import json
import sys

from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk

QUESTION = {"multi_match": {"query": "why do cats make noises", "fields": ["title^2", "abstract"]}}
RECENT = {"bool": {"must": QUESTION, "filter": {"range": {"year": {"gte": 2002}}}}}
DOCUMENTS = [
    {"title": "Felines purr", "abstract": "A kitten sounds like this when it is content", "year": 2001},
    {"title": "Dogs bark", "abstract": "A hound warns strangers", "year": 2002},
    {"title": "Interest rates", "abstract": "The central bank raised them to fight inflation", "year": 2003},
]


def titles(found: dict) -> list[str]:
    return [hit["_source"]["title"] for hit in found["hits"]["hits"]]


def main(url: str, index: str) -> None:
    with OpenSearch(url) as client:
        actions = ({"_index": index, "_id": str(n), **document} for n, document in enumerate(DOCUMENTS))
        _, failed = bulk(client, actions, refresh=True, stats_only=True)
        two = client.search(index=index, body={"query": QUESTION, "size": 2})
        years = {"years": {"terms": {"field": "year"}}}
        counted = client.search(index=index, body={"query": QUESTION, "size": 1, "aggs": years})
        pair = [{"index": index}, {"query": QUESTION, "size": 1}, {"index": index}, {"query": RECENT, "size": 1}]
        answers = {
            "bulk_failed": failed > 0,
            "question": titles(two),
            "filtered": titles(client.search(index=index, body={"query": RECENT, "size": 1})),
            "counted": titles(counted),
            "years": [bucket["key"] for bucket in counted["aggregations"]["years"]["buckets"]],
            "several": [titles(found) for found in client.msearch(body=pair)["responses"]],
            "hit": sorted(two["hits"]["hits"][0]["_source"]),
            "document": sorted(client.get(index=index, id="0")["_source"]),
        }
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
