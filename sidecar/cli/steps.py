"""Progress of what takes a while to start."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Write each step to stderr; downloads, of which there are many, only move the spinner of a terminal."""
    console = Console(stderr=True)
    with console.status("starting") as spinner:

        def report(step: str) -> None:
            spinner.update(escape(step))
            if not step.startswith("downloaded "):
                console.print(step, style="dim", highlight=False, markup=False, soft_wrap=True)

        yield report
