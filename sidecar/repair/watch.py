"""Mends what is pending again and again, until it is cancelled."""

import asyncio
from collections.abc import Callable, Sequence

from sidecar.repair.passes import Repair
from sidecar.repair.report import Report
from sidecar.repair.scan import Scan


async def watch(
    scan: Scan,
    repair: Repair,
    names: Sequence[str],
    *,
    pause_s: float,
    audit_every_s: float,
    say: Callable[[Report], None],
) -> None:
    """Audit at the start and every `audit_every_s`; between, mend what is pending, with a pause after each pass.

    `say` is told of each pass. Indices may come and go. Raises as `Repair.mend`.
    """
    now = asyncio.get_running_loop().time
    audited_at: float | None = None
    while True:
        targets = await scan.targets(names, may_be_absent=True)
        if audited_at is None or now() - audited_at >= audit_every_s:
            audited_at = now()
            say(await repair.mend(targets))
        else:
            say(await repair.mend_pending(targets))
        await asyncio.sleep(pause_s)
