"""The progress of a start, which takes a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Write each step to stderr. Downloads, which are many, only change the spinner of a terminal."""
    console = Console(stderr=True)
    with console.status("starting") as spinner:

        def report(step: str) -> None:
            spinner.update(escape(step))
            if not step.startswith("downloaded "):
                console.print(step, style="dim", highlight=False, markup=False, soft_wrap=True)

        yield report
