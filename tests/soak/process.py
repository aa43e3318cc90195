"""A bridge as a process of its own, whose embedder is a stub."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.model import ModelVersion
from tests.support.between import ANY
from tests.support.embedders import StubServer, serving_stub


@dataclass(frozen=True, slots=True)
class Process:
    """Its files and its memory can be counted, and its log be read."""

    address: str
    pid: int
    log: Path

    @property
    def files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def resident_mib(self) -> float:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    @property
    def errors(self) -> list[str]:
        """Lines of its log that tell of a fault of its own."""
        return [line for line in self.log.read_text().splitlines() if '"error"' in line or "Traceback" in line]


@asynccontextmanager
async def bridge_process(upstream: str, version: ModelVersion, log: Path) -> AsyncIterator[Process]:
    """Its embedder is a stub in this process. The bridge is gone when the context ends."""
    async with serving_stub(StubServer(version)) as embedder:
        with log.open("wb") as lines:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sidecar.cli.main", "bridge", "--json", "--listen", ANY, "--admin-listen", ANY),
                *("--upstream", upstream, "--embedder", embedder),
                stdout=asyncio.subprocess.PIPE,
                stderr=lines,
                env={**os.environ, "SIDECAR_LOG_LEVEL": "warning", "SIDECAR_BRIDGE_SEARCH_EMBED_TIMEOUT_S": "30"},
            )
        try:
            assert process.stdout is not None
            address = json.loads(await process.stdout.readline())["bridge"].removeprefix("http://")
            yield Process(address, process.pid, log)
        finally:
            process.terminate()
            await process.communicate()
