"""Repairs pending documents again and again, until it is cancelled."""

import asyncio
from collections.abc import Callable, Sequence

from sidecar.repair.passes import Passes
from sidecar.repair.report import Report
from sidecar.repair.scan import Scan


async def watch(
    scan: Scan,
    passes: Passes,
    names: Sequence[str],
    *,
    pause_s: float,
    audit_every_s: float,
    say: Callable[[Report], None],
) -> None:
    """Audit at the start and every `audit_every_s`. In between, repair pending documents, with a pause after each pass.

    `say` gets the report of each pass. Indices may come and go. Raises as `Passes.repair_all`.
    """
    now = asyncio.get_running_loop().time
    audited_at: float | None = None
    while True:
        targets = await scan.targets(names, may_be_absent=True)
        if audited_at is None or now() - audited_at >= audit_every_s:
            audited_at = now()
            say(await passes.repair_all(targets))
        else:
            say(await passes.repair_pending(targets))
        await asyncio.sleep(pause_s)
