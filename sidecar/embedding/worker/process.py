"""The process that computes: `python -m sidecar.embedding.worker.process SOCKET`, started by `supervisor.py`.

It imports next to nothing besides the libraries of its back ends, so that it starts quickly and stays small. A driver
or a lack of memory may kill it or make it hang, but the server goes on.
"""

import faulthandler
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, BinaryIO, Final

import orjson

from sidecar.embedding.backends import Backend, load_backend
from sidecar.embedding.backends.computing import compute_each
from sidecar.embedding.worker.frames import PREFIX_BYTES, pack, sizes, texts_of, vectors_frame
from sidecar.errors import SidecarError
from sidecar.output import guard_streams

_OOM_SCORE: Final = "500"  # when memory runs out, the kernel should end this process and not the server


def main() -> None:
    """Load the models in the first frame, then compute the others, until the server has gone."""
    guard_streams()
    faulthandler.enable()  # after a crash in a library, the log says where
    for stop in (signal.SIGINT, signal.SIGTERM):  # a terminal sends them to all processes, but the server drains first
        signal.signal(stop, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, "ascii")
    connection = socket.socket(fileno=int(sys.argv[1]))
    reader = connection.makefile("rb")
    frame = _read(reader)
    if frame is None:
        return
    try:
        models = [_load(**wanted) for wanted in frame[0]["load"]]
    except SidecarError as error:
        connection.sendall(pack({"refused": str(error)}))
        return
    facts = [
        {
            "deterministic": one[0].deterministic,
            "bucket_tokens": one[0].bucket_tokens,
            "batch_tokens": one[0].batch_tokens,
            "streams": len(one),
        }
        for one in models
    ]
    connection.sendall(pack({"loaded": facts}))
    _serve(connection, reader, models)


def _load(backend: str, folder: str, **options: int) -> Sequence[Backend]:
    return load_backend(backend, Path(folder), **options)


def _read(reader: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next frame, or None when the server has gone."""
    prefix = reader.read(PREFIX_BYTES)
    if len(prefix) < PREFIX_BYTES:
        return None
    header_bytes, block_bytes = sizes(prefix)
    header, block = reader.read(header_bytes), reader.read(block_bytes)
    return (orjson.loads(header), block) if len(block) == block_bytes and len(header) == header_bytes else None


def _serve(connection: socket.socket, reader: BinaryIO, models: Sequence[Sequence[Backend]]) -> None:
    """Answer until the server has gone. Each stream reads a frame and computes it itself, without a hand-over."""
    idle: list[SimpleQueue[Backend]] = [SimpleQueue() for _ in models]
    for queue, backends in zip(idle, models, strict=True):
        for backend in backends:
            queue.put(backend)
    reading, writing = Lock(), Lock()

    def stream() -> None:
        try:
            while True:
                with reading:
                    frame = _read(reader)
                if frame is None:
                    os._exit(0)  # nobody waits for the batches of the other streams any more
                reply = _answer(*frame, idle)
                with writing:
                    connection.sendall(reply)
        except BaseException:  # noqa: BLE001 - if only this stream ended, the server would just be slower
            traceback.print_exc()
            os._exit(1)

    streams = [Thread(target=stream, name=f"stream {number}") for number in range(sum(map(len, models)))]
    for one in streams:
        one.start()
    for one in streams:
        one.join()


def _answer(header: dict[str, Any], block: bytes, idle: Sequence["SimpleQueue[Backend]"]) -> bytes:
    if not header["lengths"]:  # only a sign of life is asked for
        return pack({"batch": header["batch"], "rows": 0, "failures": []})
    free = idle[header["model"]]
    backend = free.get()
    try:
        outcome = compute_each(backend, texts_of(header["lengths"], block))
    finally:
        free.put(backend)
    return vectors_frame(header["batch"], outcome.pooled, dict(outcome.failures))


if __name__ == "__main__":
    main()
