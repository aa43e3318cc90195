"""Print every rule that is broken, and exit with 1 if one is."""

import sys
from itertools import chain

from tests.checks import prose

CHECKS = (prose.problems,)

found = list(chain.from_iterable(check() for check in CHECKS))
for line in found:
    print(line)  # noqa: T201 - this is its answer
sys.exit(1 if found else 0)
