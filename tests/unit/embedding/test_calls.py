import pytest

from sidecar.embedding.calls import Inflight, id_of, shortened
from sidecar.errors import EmbedderOverloaded


def test_requests_together_stay_within_the_bound() -> None:
    inflight = Inflight(100)
    with inflight.hold(60):
        with inflight.hold(40), pytest.raises(EmbedderOverloaded) as refused, inflight.hold(1):
            pytest.fail("let in")
        with inflight.hold(40):  # what has gone, and what was refused, holds nothing
            pass
    assert refused.value.retry_after_s > 0


def test_one_that_is_alone_is_let_in_whatever_its_size() -> None:
    inflight = Inflight(100)
    with inflight.hold(1_000) as held:
        held.grow_to(2_000)
        with pytest.raises(EmbedderOverloaded), inflight.hold(1):
            pytest.fail("let in")
    with inflight.hold(100):
        pass


def test_what_comes_in_pieces_is_refused_where_it_grows_too_large() -> None:
    inflight = Inflight(100)
    with inflight.hold(50), inflight.hold(0) as held:
        for size in (30, 20, 50):  # what it holds it keeps
            held.grow_to(size)
        with pytest.raises(EmbedderOverloaded):
            held.grow_to(51)
    with inflight.hold(50), inflight.hold(50):
        pass


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([("x-request-id", "")], id="empty"),
        pytest.param([("x-request-id", "two words")], id="a space"),
        pytest.param([("x-request-id", "line\r\nbreak")], id="a line break"),
        pytest.param([("x-request-id", "a" * 129)], id="too long"),
        pytest.param([("x-request-id", b"bytes")], id="bytes"),
    ],
)
def test_an_id_is_made_where_none_can_be_used(headers: list[tuple[str, str | bytes]]) -> None:
    assert len({id_of(headers), id_of(headers)}) == 2
    assert len(id_of(headers)) == 32


def test_the_callers_own_id_is_kept() -> None:
    assert id_of([("Accept", "*/*"), ("X-Request-ID", "a-1")]) == "a-1"
    assert id_of([("x-request-id", "b" * 128)]) == "b" * 128


def test_a_long_id_is_shortened_where_room_is_limited() -> None:
    assert (shortened("a"), shortened("a" * 200)) == ("a", "a" * 128)
