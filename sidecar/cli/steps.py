"""The progress of a start, which takes a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Write each step to stderr. Downloads, which are many, only change the spinner of a terminal."""
    console = Console(stderr=True)
    with console.status("starting") as spinner:

        def report(step: str) -> None:
            spinner.update(step)
            if not step.startswith("downloaded "):
                console.print(step, style="dim", highlight=False, soft_wrap=True)

        yield report
