"""What the clients say about arguments that nobody can embed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sidecar.errors import InvalidInput
from sidecar.model import Role
from sidecar.rpc.arguments import (
    check_source,
    check_timeout,
    checked_choice,
    checked_name,
    checked_text,
    checked_texts,
)

ROLES = {Role.PASSAGE: 1, Role.QUERY: 2}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(["a", "b"], id="a list"),
        pytest.param(("a", "b"), id="a tuple"),
        pytest.param((text for text in "ab"), id="a generator"),
        pytest.param(np.array(["a", "b"]), id="an array"),
    ],
)
def test_any_source_of_strings_is_taken(given: Any) -> None:
    assert checked_texts(given) == ["a", "b"]


@pytest.mark.parametrize(
    ("check", "message"),
    [
        pytest.param(lambda: checked_texts("abc"), "texts: must be a list of texts, not one str", id="a string"),
        pytest.param(lambda: checked_texts(b"abc"), "texts: must be a list of texts, not one bytes", id="bytes"),
        pytest.param(lambda: checked_texts({"a": 1}), "texts: must be a list of texts, not one dict", id="a mapping"),
        pytest.param(lambda: checked_texts(None), "texts: must be a list of texts, not None", id="None"),
        pytest.param(lambda: checked_texts(7), "texts: must be a list of texts, not one int", id="a number"),
        pytest.param(lambda: checked_texts([]), "texts: must hold at least one text", id="no text"),
        pytest.param(lambda: checked_texts(["a", None]), "texts[1]: must be a string, not None", id="None as a text"),
        pytest.param(lambda: checked_texts([b"a"]), "texts[0]: must be a string, not one bytes", id="bytes as a text"),
        pytest.param(lambda: checked_name("model", None), "model: must be a string, not None", id="no model"),
        pytest.param(
            lambda: checked_choice("role", "question", ROLES),
            "role: must be passage or query, not [question]",
            id="an unknown role",
        ),
        pytest.param(lambda: checked_choice("role", None, ROLES), "role: must be passage or query, not None", id="None"),
        pytest.param(lambda: checked_choice("role", [], ROLES), "role: must be passage or query, not one list", id="a list"),
        pytest.param(lambda: check_timeout(-1), "timeout_s: must be a number of seconds from 0 on, not -1", id="negative"),
        pytest.param(lambda: check_timeout(float("nan")), "timeout_s: must be a number of seconds from 0 on, not nan", id="NaN"),
        pytest.param(lambda: check_timeout("5"), "timeout_s: must be a number of seconds, not one str", id="in words"),
        pytest.param(lambda: check_timeout(None), "timeout_s: must be a number of seconds, not None", id="no limit"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(check: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check()
    assert str(refusal.value) == message


def test_the_name_of_a_role_is_the_role() -> None:
    assert checked_choice("role", "query", ROLES) == checked_choice("role", Role.QUERY, ROLES) == 2


def test_lone_surrogates_become_question_marks() -> None:
    assert (checked_text("a\ud800", 0), checked_name("model", "\ud800")) == ("a?", "?")


def test_an_async_source_is_for_the_async_client_only() -> None:
    async def texts() -> Any:
        yield "a"

    check_source(texts(), may_be_async=True)
    with pytest.raises(InvalidInput, match="must be a list of texts"):
        check_source(texts())
