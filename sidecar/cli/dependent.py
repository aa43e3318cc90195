"""`python -m sidecar.cli.dependent PARENT COMMAND …`: one of our commands, which ends when its parent does.

The child asks for that itself, because code between fork and exec may crash in a parent with threads, as gRPC has.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Let the kernel send SIGTERM when the parent dies, however it dies. Then run the command."""
    parent = int(sys.argv.pop(1))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it has died before that
        sys.exit(1)
    from sidecar.cli.main import main as run  # noqa: PLC0415 - a tenth of a second in which the parent might die

    run()


if __name__ == "__main__":
    main()
