"""Who finds a place, and who is told that there is none."""

from sidecar.places import SURPLUS, Places


def places(most: int = 4, per_peer: int = 2, *proxies: str) -> Places:
    return Places(most, per_peer, lambda peer: peer in proxies)


def test_a_client_finds_as_many_places_as_it_may_have() -> None:
    counted = places()
    assert counted.refusal("a") is None
    counted.take("a")
    leave = counted.take("a")

    assert counted.refusal("a") == (429, "more than [2] connections of one client are open")
    assert counted.refusal("b") is None
    leave()
    assert counted.refusal("a") is None


def test_all_clients_together_find_a_number_of_places() -> None:
    counted = places()
    leave = [counted.take(peer) for peer in "abcd"]

    assert counted.refusal("e") == (503, "more than [4] connections are open")
    leave[0]()
    assert counted.refusal("e") is None


def test_a_place_is_given_back_once() -> None:
    counted = places()
    leave = counted.take("a")
    counted.take("a")
    counted.take("a")
    leave()
    leave()

    assert counted.refusal("a") == (429, "more than [2] connections of one client are open")


def test_the_address_of_a_proxy_has_only_the_limit_of_all() -> None:
    counted = places(4, 2, "proxy")
    for _ in range(3):
        counted.take("proxy")

    assert counted.refusal("proxy") is None
    counted.take("proxy")
    assert counted.refusal("proxy") == (503, "more than [4] connections are open")


def test_only_so_many_connections_too_many_get_an_answer() -> None:
    counted = places(1_000, 2)
    for _ in range(2 + SURPLUS):
        assert not counted.are_worn_out("a")
        counted.take("a")

    assert counted.are_worn_out("a")
    assert not counted.are_worn_out("b")
