"""What was sent, as one header line."""

import json

from sidecar.bridge.searches.explanation import explanation


def test_vectors_are_counted_not_shown() -> None:
    body = {"query": {"hybrid": {"queries": [{"knn": {"e": {"vector": [0.5] * 384, "k": 1}}}]}}}

    shown = json.loads(explanation("/a/_search", body))

    assert shown["body"]["query"]["hybrid"]["queries"][0]["knn"]["e"] == {"vector": "[384 numbers]", "k": 1}


def test_a_header_is_ascii_on_one_line_and_not_too_long() -> None:
    assert explanation("/a/_search", {"query": "caf\u00e9\n"}).isascii()
    long = explanation("/a/_search?" + "x" * 9_000, {"query": "y" * 9_000})

    assert "\n" not in long
    assert len(long) < 4_096
    assert "too long for a header" in json.loads(long)["body"]
