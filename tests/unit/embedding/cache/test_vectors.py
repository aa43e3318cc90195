from pathlib import Path

import numpy as np
import pytest

from sidecar.embedding.cache.file import VectorFile
from sidecar.embedding.cache.vectors import Entry, VectorCache, keys_of, pack, unpack

DISK_BYTES = 16_777_216


def entry(*values: float, tokens: int = 5, dropped: int = 0) -> Entry:
    return Entry(np.array(values, dtype=np.float32), tokens, dropped)


def same(one: Entry | None, other: Entry) -> bool:
    return one is not None and pack(one) == pack(other)


def test_what_is_unpacked_is_what_was_packed_to_the_bit() -> None:
    packed = pack(entry(1.1, -0.0, 3e-42, tokens=7, dropped=2))
    found = unpack(packed, 3)
    assert found is not None
    assert (found.pooled.tobytes(), found.tokens, found.dropped) == (packed[12:], 7, 2)


@pytest.mark.parametrize(
    ("damage", "dimension"),
    [
        pytest.param(lambda packed: packed, 3, id="another dimension"),
        pytest.param(lambda packed: packed[:-1], 2, id="cut"),
        pytest.param(lambda packed: packed[:-1] + bytes([packed[-1] ^ 1]), 2, id="one bit of the vector"),
        pytest.param(lambda packed: packed[:4] + bytes([packed[4] ^ 1]) + packed[5:], 2, id="one bit of the counts"),
        pytest.param(lambda packed: b"", 2, id="empty"),
        pytest.param(lambda packed: bytes(len(packed) - 1) + b"x", 2, id="something else"),
    ],
)
def test_a_damaged_entry_is_none(damage, dimension: int) -> None:
    assert unpack(damage(pack(entry(1, 2))), dimension) is None


def test_the_key_tells_space_back_end_and_text() -> None:
    keys = {
        keys_of(space, by)(text)
        for space, by, text in [("s", "b", "t"), ("s2", "b", "t"), ("s", "b2", "t"), ("s", "b", "t2")]
    }
    assert (len(keys), {len(key) for key in keys}) == (4, {32})


def test_memory_is_bounded_by_bytes_and_forgets_what_was_used_least() -> None:
    cache = VectorCache(1_500)
    for name in (b"a", b"b", b"c"):
        cache.keep(name, entry(1, 2))
    assert cache.get(b"a") is not None
    cache.keep(b"d", entry(1, 2))
    assert [cache.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


def test_the_first_vector_stays() -> None:
    cache = VectorCache(10_000)
    first = entry(1, 2)
    assert cache.keep(b"a", first) is first
    assert cache.keep(b"a", entry(3, 4)) is first


def test_no_memory_and_no_file_keep_nothing() -> None:
    cache = VectorCache(0)
    cache.keep(b"a", entry(1, 2))
    assert cache.get(b"a") is None
    assert cache.read_file([b"a"], 2) == {}
    cache.close()


def test_the_file_outlives_the_cache(tmp_path: Path) -> None:
    kept = {bytes([n]) * 32: entry(n, 2) for n in range(200)}
    cache = VectorCache(10_000, VectorFile.open(tmp_path, DISK_BYTES))
    for key, value in kept.items():
        cache.keep(key, value)
    cache.close()
    cache = VectorCache(10_000, VectorFile.open(tmp_path, DISK_BYTES))
    found = cache.read_file(list(kept), 2)
    assert all(same(found[key], value) for key, value in kept.items())
    assert cache.read_file(list(kept), 3) == {}
    cache.close()
