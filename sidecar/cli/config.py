"""`sidecar config`: the settings in force, and their sources."""

import json

from rich.console import Console
from rich.table import Table

from sidecar.cli.options import AsJson, ConfigFile, command_group, configure
from sidecar.config import variable

app = command_group("Show the settings in force and where each comes from.")


@app.callback()
def group() -> None:
    """Keep `show` a command of its own, although it is the only one."""


@app.command()
def show(config: ConfigFile = None, *, as_json: AsJson = False) -> None:
    """Print every setting with its value and the source of the value. Secrets are hidden."""
    settings = list(configure(config).explain())
    if as_json:
        print(json.dumps({s.name: {"value": s.value, "source": s.source} for s in settings}, default=str))
        return
    table = Table("setting", "value", "source", box=None, pad_edge=False)
    for setting in settings:
        source = f"default ({variable(setting.name)})" if setting.source == "default" else setting.source
        table.add_row(setting.name, setting.shown, source)
    Console(highlight=False, soft_wrap=True).print(table)
