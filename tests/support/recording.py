"""An upstream that writes down what reaches it. No real node tells which bytes it has read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Recorder:
    """The requests that came, each with its head and its body. `answer` is sent to all but the `silent` ones. If it is empty, the upstream hangs up."""

    url: str = ""
    answer: bytes = OK
    silent: bytes = b"\0"  # in the head of a request that gets no answer
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    leave: Callable[[], None] = lambda: None  # from then on nothing listens at this address

    def headers(self, number: int = -1) -> dict[str, str]:
        """The headers of a request, with names in lower case."""
        lines = self.heads[number].decode("latin-1").split("\r\n")[1:-2]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                headers = self.headers()
                if "transfer-encoding" in headers:
                    self.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
                else:
                    self.bodies.append(await reader.readexactly(int(headers.get("content-length", 0))))
                if not self.answer:
                    return
                if self.silent not in self.heads[-1]:
                    writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.hung_up.set()
        finally:
            writer.close()


@asynccontextmanager
async def recording() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    recorder.url, recorder.leave = f"http://{host}:{port}", server.close
    try:
        yield recorder
    finally:
        server.close()
