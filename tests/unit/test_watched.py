import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.errors import ConfigurationError
from sidecar.watched import Watched, read_bytes


def watched(*files: Path) -> Watched[bytes]:
    return Watched(files, lambda: b"".join(read_bytes(file) for file in files))


def test_a_value_is_read_again_when_one_of_its_files_changes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    both = watched(one, two)
    assert both.current() == b"12"
    two.write_text("three")
    assert both.current() == b"1three"


def test_it_is_not_read_while_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    reads: list[bytes] = []
    value = Watched([file], lambda: reads.append(read_bytes(file)))
    for _ in range(3):
        value.current()
    assert reads == [b"a"]


def test_a_file_of_equal_size_and_time_that_was_moved_there_is_seen(tmp_path: Path) -> None:
    file, new = tmp_path / "file", tmp_path / "new"
    for path, content in ((file, "old"), (new, "new")):
        path.write_text(content)
        os.utime(path, ns=(1, 1))
    value = watched(file)
    new.replace(file)
    assert value.current() == b"new"


def test_what_cannot_be_read_leaves_the_last_value(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    value = watched(file)
    file.unlink()
    with capture_logs() as logs:
        assert [value.current(), value.current()] == [b"a", b"a"]  # said once
    assert [line["action"] for line in logs] == ["files_not_reread"]
    file.write_text("b")
    assert value.current() == b"b"


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    then = iter(["", "second", "", ""])

    def read() -> bytes:
        content = read_bytes(file)
        if later := next(then):
            file.write_text(later)
        return content

    value = Watched([file], read)
    file.write_text("first")
    assert value.current() == b"a"
    assert value.current() == b"second"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gone: No such file"):
        watched(tmp_path / "gone")


def test_the_mark_of_windows_editors_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_bytes(b"\xef\xbb\xbfsecret\r\n")
    assert read_bytes(tmp_path / "tokens") == b"secret\r\n"
