"""Every command of the README runs, and answers what the README says."""

import os
import re
import subprocess
from pathlib import Path

from tests.support.folders import ROOT

# Run by other tests, each in its own way: test_demo.py, test_up.py, and the whole of this.
ELSEWHERE = {"make demo", ".venv/bin/sidecar up", "make test"}


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in found if block.strip() not in ELSEWHERE]


def test_the_commands_run_and_print_what_is_shown(system: dict[str, str], tmp_path: Path) -> None:
    script = "set -eu\n" + "".join(blocks("sh")).replace("localhost:9201", system["bridge"].removeprefix("http://"))
    environment = {
        **os.environ,
        "SIDECAR_CLUSTER_URL": system["cluster"],
        "SIDECAR_BRIDGE_EMBEDDER": system["embedder"],
    }

    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert blocks("json")[0].strip() in done.stdout


def test_every_page_that_is_linked_is_there() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
