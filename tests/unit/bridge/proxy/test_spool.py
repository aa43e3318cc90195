"""Bytes are read as they were written, whether they fit into memory or not; a full disk is an error of ours."""

import io

import pytest

from sidecar.bridge.proxy.spool import Spool, SpoolFull


@pytest.mark.parametrize("pieces", [[], [b"one\n", b"two"], [b"x" * 700_000 + b"\n", b"y" * 700_000]], ids=len)
def test_what_is_written_is_read(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    with Spool() as spool:
        for piece in pieces:
            spool.write(piece)
        payload = spool.payload()

        assert spool.size == len(whole)
        assert (payload if isinstance(payload, bytes) else payload.read()) == whole
        assert spool.read() == whole
        assert spool.read(2, 6) == whole[2:6]
        assert b"".join(spool.pieces()) == whole
        assert list(spool.lines()) == whole.splitlines(keepends=True)


def test_many_bytes_are_not_read_whole_to_be_sent() -> None:
    with Spool() as spool:
        spool.write(b"x" * 1_048_576)
        assert isinstance(spool.payload(), bytes)
        spool.write(b"x")
        assert not isinstance(spool.payload(), bytes)


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _piece: object) -> int:
            raise OSError(28, "No space left on device")

    with Spool() as spool:
        with monkeypatch.context() as full:
            full.setattr(spool, "_file", Full())
            with pytest.raises(SpoolFull, match="No space left on device"):
                spool.write(b"x")
        assert spool.size == 0
