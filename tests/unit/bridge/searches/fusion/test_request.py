"""Which searches the bridge can fuse, and with what of the client's options."""

import pytest

from tests.unit.bridge.searches.fusion.test_legs import planned


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param({}, ["year"], id="the body's own"),
        pytest.param({"_source": "title,abstract"}, {"includes": ["title", "abstract"], "excludes": []}, id="names"),
        pytest.param({"_source": "false", "_source_includes": "title"}, False, id="none"),
        pytest.param({"_source": "true"}, {"includes": [], "excludes": []}, id="all"),
        pytest.param({"_source_includes": "a", "_source_excludes": "b"}, {"includes": ["a"], "excludes": ["b"]},
                     id="includes and excludes"),
    ],
)  # fmt: skip
def test_the_url_wins_over_the_body(url: dict[str, str], expected: object) -> None:
    search = planned(url={**url, "size": "3", "from": "2"}, _source=["year"], size=10)

    assert search.body["_source"] == expected
    assert (search.start, search.size) == (2, 3)
