"""Print every rule that is broken, and exit with 1 if one is: all checks, or those that are named."""

import sys
from itertools import chain
from typing import Final

from tests.checks import mirror, prose, purity

CHECKS: Final = {"mirror": mirror.problems, "purity": purity.problems, "prose": prose.problems}

found = list(chain.from_iterable(CHECKS[name]() for name in sys.argv[1:] or CHECKS))
for line in found:
    print(line)  # noqa: T201 - this is its answer
sys.exit(1 if found else 0)
