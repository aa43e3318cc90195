from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.embedding.backends import AUTO, BUILT
from sidecar.embedding.loading.memory import ModelToLoad, available_bytes, check_memory, needed_bytes, weight_bytes
from sidecar.errors import ConfigurationError

MB = 1_000_000
GB = 1_000 * MB
BACKENDS = ("torch", *BUILT)
MINILM = ModelToLoad("minilm@1", "openvino-w8", 23 * MB)
BERT = ModelToLoad("bert@1", "torch", 438 * MB)

loads = st.lists(st.builds(ModelToLoad, st.just("m@1"), st.sampled_from(BACKENDS), st.integers(0, 10 * GB)), max_size=4)


@pytest.mark.parametrize(
    ("load", "least", "most"),
    [  # growth of a process in MB, as measured, and room for another machine
        pytest.param(ModelToLoad("m", "torch", 91 * MB), 650, 750, id="torch"),
        pytest.param(ModelToLoad("m", "openvino", 90 * MB), 290, 350, id="float32"),
        pytest.param(ModelToLoad("m", "openvino", 435 * MB), 960, 1_100, id="float32, BERT"),
        pytest.param(ModelToLoad("m", "openvino-w8", 23 * MB), 190, 230, id="8-bit weights"),
        pytest.param(ModelToLoad("m", "openvino-w8", 109 * MB), 400, 460, id="8-bit weights, BERT"),
        pytest.param(ModelToLoad("m", "openvino-int8", 23 * MB), 240, 290, id="8-bit"),
    ],
)
def test_what_a_model_needs_is_near_what_was_measured(load: ModelToLoad, least: int, most: int) -> None:
    assert least <= needed_bytes([load]) / MB <= most


def test_every_back_end_has_its_measures() -> None:
    assert AUTO not in BACKENDS
    assert all(needed_bytes([ModelToLoad("m", backend, 0)]) > 0 for backend in BACKENDS)


@given(loads, loads)
def test_models_together_need_more_than_each_but_share_their_library(
    some: list[ModelToLoad], others: list[ModelToLoad]
) -> None:
    together = needed_bytes([*some, *others])
    assert max(needed_bytes(some), needed_bytes(others)) <= together <= needed_bytes(some) + needed_bytes(others)


def test_models_that_fit_are_let_in() -> None:
    check_memory([MINILM, BERT], 2 * GB)
    check_memory([MINILM, BERT], needed_bytes([MINILM, BERT]))
    check_memory([MINILM, BERT], None)
    check_memory([], 0)


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        pytest.param(
            [BERT],
            "model [bert@1] on back end [torch] needs some 1008 MB, but 500 MB are available; "
            "embedder.memory_bytes sets another limit",
            id="alone",
        ),
        pytest.param(
            [MINILM, BERT],
            "model [bert@1] on back end [torch], with minilm@1 before it, needs some 1210 MB, but 500 MB are "
            "available; embedder.memory_bytes sets another limit",
            id="beside another",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_refused_in_one_sentence(models: list[ModelToLoad], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_memory(models, 500 * MB)
    assert str(refused.value) == sentence


def test_the_size_of_weights_is_that_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"12345")
    (tmp_path / "two").write_bytes(b"678")
    assert weight_bytes(tmp_path, ["a/one", "two"]) == 8


V1 = {"memory/memory.limit_in_bytes": "1000\n", "memory/memory.usage_in_bytes": "700\n"}
V2 = {"memory.max": "1000\n", "memory.current": "600\n"}
STAT = "anon 200\nfile 400\ninactive_file 100\ntotal_inactive_file 50\n"


@pytest.mark.parametrize(
    ("files", "meminfo", "free"),
    [
        pytest.param(V2, "", 400, id="version 2"),
        pytest.param(V1, "", 300, id="version 1"),
        pytest.param({**V2, "memory.stat": STAT}, "", 500, id="version 2, what can be dropped is free"),
        pytest.param({**V1, "memory/memory.stat": STAT}, "", 350, id="version 1, what can be dropped is free"),
        pytest.param({**V2, "memory.current": "1200"}, "", 0, id="beyond its limit"),
        pytest.param({**V2, "memory.max": "max\n"}, "MemAvailable: 2 kB\n", 2_048, id="no limit: the machine's"),
        pytest.param(V2, "MemTotal: 9 kB\nMemAvailable:    0 kB\n", 0, id="the machine has less"),
        pytest.param({}, "MemTotal: 9 kB\nHugePages_Total: 0\nMemAvailable: 7 kB\n", 7_168, id="no cgroup"),
        pytest.param({}, "", None, id="nobody knows"),
    ],
)
def test_what_is_free_is_the_least_that_cgroup_and_machine_say(
    files: dict[str, str], meminfo: str, free: int | None, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "meminfo").write_text(meminfo)
    places = {"cgroup": tmp_path, "membership": tmp_path / "membership", "meminfo": tmp_path / "meminfo"}
    assert available_bytes(**places) == free
    assert available_bytes(5, **places) == 5


@pytest.mark.parametrize(
    ("membership", "folder", "names"),
    [
        pytest.param("0::/a/b\n", "", ("memory.max", "memory.current"), id="version 2"),
        pytest.param("4:memory:/a/b\n", "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes"), id="version 1"),
    ],
)
@pytest.mark.parametrize("narrow", ["", "a", "a/b"])
def test_the_fullest_cgroup_on_the_path_of_the_process_counts(
    membership: str, folder: str, names: tuple[str, str], narrow: str, tmp_path: Path
) -> None:
    for path in ("", "a", "a/b", "others"):
        of_path = tmp_path / folder / path
        of_path.mkdir(parents=True, exist_ok=True)
        (of_path / names[0]).write_text({narrow: "1000\n", "others": "0\n"}.get(path, "2000\n"))
        (of_path / names[1]).write_text("100\n")
    (tmp_path / "membership").write_text(membership)
    free = available_bytes(cgroup=tmp_path, membership=tmp_path / "membership", meminfo=tmp_path / "none")
    assert free == 900


def test_this_machine_says_what_it_has() -> None:
    assert (available_bytes() or 0) > 10 * MB
