import os
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.embedding.cache.file import VectorFile
from sidecar.errors import ConfigurationError

DISK_BYTES = 16_777_216

WRITE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from sidecar.embedding.cache.file import VectorFile
file = VectorFile.open(Path(sys.argv[1]), int(sys.argv[2]))
for number in itertools.count():
    file.write({b"%d" % n: b"%d" % n * 100 for n in range(number * 100, number * 100 + 100)})
    print(number, flush=True)
"""


def test_a_key_keeps_its_first_value(tmp_path: Path) -> None:
    file = VectorFile.open(tmp_path, DISK_BYTES)
    file.write({b"a": b"1"})
    file.write({b"a": b"2", b"b": b"3"})
    assert file.read([b"a", b"b", b"c"]) == {b"a": b"1", b"b": b"3"}
    file.close()


def test_the_file_stays_within_its_bound_and_loses_the_oldest(tmp_path: Path) -> None:
    file = VectorFile.open(tmp_path, DISK_BYTES)
    keys = [os.urandom(32) for _ in range(20_000)]
    for start in range(0, len(keys), 1_000):
        file.write({key: key * 48 for key in keys[start : start + 1_000]})
    assert file.size() <= DISK_BYTES
    found = file.read(keys)
    assert set(keys[-1_000:]) <= found.keys()
    assert keys[0] not in found
    assert 3_000 <= len(found) <= 10_000
    assert all(value == key * 48 for key, value in found.items())
    file.close()


def test_a_process_that_is_killed_while_it_writes_leaves_whole_values(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path), str(DISK_BYTES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        written = [int(writer.stdout.readline()) for _ in range(5)]
        writer.kill()
    file = VectorFile.open(tmp_path, DISK_BYTES)
    keys = [b"%d" % number for number in range((written[-1] + 2) * 100)]
    found = file.read(keys)
    assert set(keys[:500]) <= found.keys()
    assert all(value == key * 100 for key, value in found.items())
    file.write({b"after": b"1"})
    assert file.read([b"after"]) == {b"after": b"1"}
    file.close()


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path), str(DISK_BYTES)]
    file = VectorFile.open(tmp_path, DISK_BYTES)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        file.write({b"mine": b"1"})
        assert file.read([b"mine", b"7"]) == {b"mine": b"1", b"7": b"7" * 100}
        writer.kill()
    file.close()


@pytest.mark.parametrize(
    "content", [pytest.param(b"no such thing" * 4_096, id="another file"), pytest.param(b"short", id="cut")]
)
def test_a_damaged_file_begins_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vectors.lmdb").write_bytes(content)
    file = VectorFile.open(tmp_path, DISK_BYTES)
    file.write({b"a": b"1"})
    assert file.read([b"a"]) == {b"a": b"1"}
    file.close()


def test_errors_of_the_store_make_misses(tmp_path: Path) -> None:
    file = VectorFile.open(tmp_path, DISK_BYTES)
    file.write({b"a": b"1"})
    file.close()
    file.write({b"b": b"2"})
    assert file.read([b"a"]) == {}


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"embedder\.cache_dir: .*file/vectors\.lmdb cannot be opened"):
        VectorFile.open(tmp_path / "file", DISK_BYTES)
