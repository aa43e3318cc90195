from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.embedding.front.tokens import Gate, parse_tokens
from sidecar.errors import ConfigurationError


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        pytest.param(b"a\nb\n", 2, id="one a line"),
        pytest.param(b"# a\n\n  b  \r\n", 1, id="comments, empty lines, spaces around, other line ends"),
        pytest.param(b"a#b", 1, id="a hash inside belongs to the token"),
        pytest.param(b"", 0, id="nothing"),
    ],
)
def test_the_tokens_of_a_file(content: bytes, tokens: int) -> None:
    assert len(parse_tokens(content)) == tokens


@pytest.mark.parametrize("line", [b"two words", b"tab\tinside", "ümlaut".encode(), b"\x7f"])
def test_what_is_no_token_is_named_by_its_line(line: bytes) -> None:
    with pytest.raises(ConfigurationError, match="line 2: a token is printable ASCII") as refused:
        parse_tokens(b"good\n" + line)
    assert line.decode() not in str(refused.value)


@pytest.mark.parametrize(
    ("header", "let_in"),
    [
        pytest.param("Bearer secret", True, id="ours"),
        pytest.param("bearer  secret ", True, id="the scheme has no case"),
        pytest.param("Bearer secret2", False, id="another"),
        pytest.param("Basic secret", False, id="another scheme"),
        pytest.param("secret", False, id="no scheme"),
        pytest.param("", False, id="nothing"),
        pytest.param("Bearer \udce9", False, id="bytes that are no text"),
    ],
)
def test_who_is_let_in(header: str, let_in: bool, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("other\nsecret\n")
    assert Gate(tmp_path / "tokens").lets_in(header) is let_in


@given(st.binary(max_size=40))
def test_any_file_gives_tokens_or_an_error(content: bytes) -> None:
    try:
        parse_tokens(content)
    except ConfigurationError:
        return
