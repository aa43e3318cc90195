"""A caller over HTTP/2 that takes as many bytes of each reply as it is told to, such as none."""

import asyncio
import struct

_SETTINGS, _DATA, _HEADERS = 4, 0, 1
_WINDOW = 4  # the setting
_ACKNOWLEDGED, _END_OF_HEADERS, _END_OF_STREAM = 1, 4, 1


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def call(self, method: str, message: bytes) -> None:
        """Send a request of gRPC on the first stream."""
        heads = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "x", "te": "trailers"}
        heads["content-type"] = "application/grpc"
        packed = b"".join(b"\0%c%b%c%b" % (len(n), n.encode(), len(v), v.encode()) for n, v in heads.items())
        self._send(_HEADERS, _END_OF_HEADERS, 1, packed)
        self._send(_DATA, _END_OF_STREAM, 1, b"\0" + struct.pack(">I", len(message)) + message)

    def _send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.writer.write(
            struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
        )

    @classmethod
    async def of(cls, address: str, *, window: int) -> "Caller":
        host, _, port = address.rpartition(":")
        caller = cls(*await asyncio.open_connection(host.strip("[]"), int(port)))
        caller.writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        caller._send(_SETTINGS, 0, 0, struct.pack(">HI", _WINDOW, window))
        caller._send(_SETTINGS, _ACKNOWLEDGED, 0, b"")
        return caller
