"""Both readers of bulk answers give the same: the quick one, and the one for what the quick one refuses."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.writes import bulk_answer
from sidecar.bridge.writes.bulk_answer import BulkAnswer
from sidecar.jsontext import dumps

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
LONGS = st.integers(0, 2**63 - 1)
ITEMS = st.dictionaries(
    st.sampled_from(["index", "create", "update", "delete"]),
    st.fixed_dictionaries(
        {"_id": TEXTS, "status": st.integers(200, 503)}, optional={"error": st.dictionaries(TEXTS, TEXTS)}
    ),
    min_size=1,
    max_size=1,
)


@given(st.lists(ITEMS, max_size=5), LONGS, st.none() | LONGS, st.booleans())
def test_both_readers_agree(items: list[object], took: int, ingest_took: int | None, errors: bool) -> None:
    further = {} if ingest_took is None else {"ingest_took": ingest_took}
    body = dumps({"took": took, **further, "errors": errors, "items": items})

    answer = BulkAnswer.parse(body)

    assert answer == bulk_answer._parse_slowly(body)
    assert answer.items == tuple(map(dumps, items))
    assert answer.render() == body
