"""JSON is refused where OpenSearch 3 refuses it."""

from sidecar.bridge.proxy.nesting import MAX_LEVELS, is_too_deep


def test_a_thousand_levels_are_the_limit() -> None:
    assert MAX_LEVELS == 1_000
    assert not is_too_deep(b"[" * 1_000)
    assert is_too_deep(b"[" * 1_001)
