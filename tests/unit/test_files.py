import hashlib
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

from sidecar.files import file_digest, locked, unmarked


def test_a_file_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"some bytes")
    assert file_digest(tmp_path / "file") == hashlib.sha256(b"some bytes").hexdigest()


def test_the_mark_of_windows_editors_is_skipped() -> None:
    assert [unmarked(content) for content in (b"\xef\xbb\xbfa", b"a", b"", b"a\xef\xbb\xbf")] == [
        b"a",
        b"a",
        b"",
        b"a\xef\xbb\xbf",
    ]


def test_the_lock_of_a_process_that_dies_is_free(tmp_path: Path) -> None:
    processes = get_context("spawn")
    held = processes.Event()
    holder = processes.Process(target=_hold, args=(tmp_path / "lock", held))
    holder.start()
    held.wait()
    holder.kill()
    holder.join()
    with locked(tmp_path / "lock"):
        pass


def _hold(path: Path, held: Event) -> None:
    with locked(path):
        held.set()
        get_context("spawn").Event().wait()
