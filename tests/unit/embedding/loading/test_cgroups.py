from pathlib import Path

import pytest

from sidecar.embedding.loading.cgroups import cgroups_of, read


@pytest.mark.parametrize(
    ("membership", "folders"),
    [
        pytest.param("0::/a/b\n", ["a/b", "a", ".", "unified/a/b", "unified/a", "unified", "cpu"], id="version 2"),
        pytest.param("7:cpu:/a\n6:memory:/x\n", ["cpu/a", "cpu", "."], id="version 1"),
        pytest.param("0::/../a\n", [".", "unified", "cpu"], id="outside of what it sees"),
        pytest.param("nonsense\n\n", [".", "unified", "cpu"], id="a line that is none"),
        pytest.param("", ["cpu", "."], id="nothing is known"),
    ],
)
def test_the_folders_lead_from_the_own_cgroup_to_the_topmost(
    membership: str, folders: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "membership"
    file.write_text(membership)
    assert cgroups_of("cpu", root=tmp_path, membership=file) == tuple(tmp_path / folder for folder in folders)


def test_a_file_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "absent") == ""
