"""Our fields stay out of hits."""

import pytest

from sidecar.bridge.hidden_fields import hide_fields
from tests.unit.bridge.searches.rewrite.test_plan import PAPERS

HIDDEN = ("embedding", "embedding_meta")


@pytest.mark.parametrize(
    ("body", "url", "sent_source", "excludes"),
    [
        pytest.param({}, {}, ..., HIDDEN, id="nothing said: excluded by URL, the body untouched"),
        pytest.param(None, {}, ..., HIDDEN, id="a body that we do not read"),
        pytest.param({"_source": True}, {}, ..., HIDDEN, id="true"),
        pytest.param({"_source": False}, {}, ..., (), id="no source at all"),
        pytest.param({"_source": ["title"]}, {}, {"includes": ["title"], "excludes": [*HIDDEN]}, (), id="includes"),
        pytest.param({"_source": "*"}, {}, {"includes": ["*"], "excludes": [*HIDDEN]}, (), id="a pattern is not a wish"),
        pytest.param({"_source": ["embedding"]}, {}, {"includes": ["embedding"], "excludes": ["embedding_meta"]}, (),
                     id="what is named is shown"),
        pytest.param({"_source": {"excludes": "a"}}, {}, {"excludes": ["a", *HIDDEN]}, (), id="excludes"),
        pytest.param({"_source": {"exclude": ["a"]}}, {}, {"exclude": ["a", *HIDDEN]}, (), id="the old spelling"),
        pytest.param({"_source": ["a"]}, {"_source": "false"}, ..., (), id="the URL wins"),
        pytest.param({}, {"_source_includes": "title,embedding"}, ..., ("embedding_meta",), id="named in the URL"),
    ],
)  # fmt: skip
def test_our_fields_are_left_out_of_hits(
    body: dict[str, object] | None, url: dict[str, str], sent_source: object, excludes: tuple[str, ...]
) -> None:
    changed, excluded = hide_fields(body, url, PAPERS)

    assert excluded == excludes
    assert changed == (None if sent_source is ... else {"_source": sent_source})
