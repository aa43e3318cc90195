"""`docs/errors.md` lists every error class with what each front door makes of it. `--update-golden` writes it anew."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Final

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from sidecar.bridge.proxy.errors import error_status
from sidecar.cli import main as command_line
from sidecar.embedding import statuses
from sidecar.embedding.front import openai
from sidecar.errors import ErrorKind, SidecarError
from sidecar.rpc import failures
from tests.checks.modules import modules
from tests.support.folders import ROOT

# These say what is wrong only when they are made.
SEVERAL_KINDS: Final = {
    "NotReady": (ErrorKind.CONFIGURATION, ErrorKind.UNAVAILABLE),
    "NoVector": (ErrorKind.BAD_INPUT, ErrorKind.INTERNAL),
}

ADVICE: Final = {
    ErrorKind.BAD_INPUT: "Change the request. The message names the field.",
    ErrorKind.CONFIGURATION: "Change the setting or the machine. The message says which.",
    ErrorKind.NOT_FOUND: "Ask for a model version that is loaded. The message lists them.",
    ErrorKind.CONFLICT: "Compare the request with what exists. Nothing was changed.",
    ErrorKind.TOO_LARGE: "Send less at once, or raise the setting that the message names.",
    ErrorKind.OVERLOADED: "Try again after a pause.",
    ErrorKind.UNAVAILABLE: "Try again after a pause. If it stays, look at the part that the message names.",
    ErrorKind.DEADLINE: "Allow more time, or send less at once.",
    ErrorKind.INTERNAL: "Do not repeat the request. Read the log, and report the error.",
}

# Where the advice for the kind is not enough.
ADVICE_FOR_CLASS: Final = {
    "ClusterRefused": "Read the cluster's own reason in the message. Often a permission is missing.",
    "ClusterTimedOut": "Find out whether the request was carried out, and only then send it again.",
    "ConnectionLost": "The bridge passes it on as a lost connection. Find out whether the request was carried out.",
    "EmbedderOverloaded": "Try again after `retry_after_s`.",
    "NotServing": "Try again after `retry_after_s`.",
    "SlowBody": "Send the request again, on a new connection and without a pause.",
    "SpaceMismatch": "Apply the template of the model version that is served, or serve the one that the index is bound to.",
    "SpoolFull": "Try again after a pause. If it stays, give the bridge a larger disk under `TMPDIR`.",
    "WorkerFailed": "Try again. The server starts another process. If it stays, read the log of the server.",
}

# Where an error comes out that this room declares.
DOORS_OF_ROOM: Final = {
    "bridge": {"bridge"},
    "connections": {"bridge", "OpenAI"},
    "embedding": {"gRPC", "OpenAI"},
    "cli": {"command"},
    "opensearch": {"command"},
    "errors": {"bridge", "gRPC", "OpenAI", "command"},
}
DOORS_OF_CLASS: Final = {
    "BodyTooLarge": {"bridge", "OpenAI"},
    "ClusterRefused": {"bridge", "command"},
    "ClusterTimedOut": {"bridge", "command"},
    "ClusterUnreachable": {"bridge", "command"},
    "ConfigurationError": {"bridge", "command"},
    "Conflict": {"command"},
    "ConnectionLost": {"bridge"},
    "DeadlineExceeded": {"bridge", "command"},
    "EmbedderMisbehaved": {"bridge", "command"},
    "EmbedderUnavailable": {"bridge", "command"},
    "NoVector": {"OpenAI"},
    "WorkerFailed": {"command"},
    "TimedOut": {"OpenAI"},
}

_HEAD: Final = """# Errors

Every error that this package raises on purpose is a `sidecar.errors.SidecarError`. It has a kind, and each front door has
one table from the kind to its own status. A program should act on the class or on the kind, never on the sentence.

A dash says that the error does not come out at that door. The command line answers with one sentence on stderr and the
exit code. The code 2 says that somebody must change something. The code 1 says that the same command may succeed later.

This page is made from the code by `tests/unit/test_error_page.py`.

## Every class
"""

_CLIENT: Final = """
## From a gRPC status to a class

The clients of `sidecar.rpc` translate the status of a call that failed. A server that gives no answer has no status of its
own. gRPC then reports `UNAVAILABLE` or `DEADLINE_EXCEEDED`.

| gRPC status | class |
|---|---|
"""


def test_the_page_lists_every_error(request: pytest.FixtureRequest) -> None:
    header = "| class | kind | bridge: HTTP | gRPC | `/v1`: HTTP | exit code | meaning | what to do |\n|---|---|---|---|---|---|---|---|\n"
    rows = [row(error, kind) for error in error_classes() for kind in kinds(error)]
    page = f"{_HEAD}\n{header}" + "".join(rows) + _CLIENT + "".join(translations())
    path = ROOT / "docs" / "errors.md"
    if request.config.getoption("--update-golden"):
        path.write_text(page)
    assert path.read_text() == page


def test_every_class_that_chooses_its_kind_is_known() -> None:
    choosing = {
        error.__name__ for error in error_classes() if "kind" not in vars(error) and error.__mro__[1] is SidecarError
    }

    assert choosing == SEVERAL_KINDS.keys()


def test_what_is_said_of_a_class_is_said_of_one_that_exists() -> None:
    assert ADVICE_FOR_CLASS.keys() | DOORS_OF_CLASS.keys() <= {error.__name__ for error in error_classes()}


@cache
def error_classes() -> list[type[SidecarError]]:
    """All of them, wherever they are declared: only modules that declare one are imported."""
    names, found = {"SidecarError"}, {}
    while True:
        new = {name: module for name, module in _subclasses_of(names) if name not in names}
        if not new:
            break
        names |= new.keys()
        found |= new
    classes = [getattr(import_module(module), name) for name, module in found.items()]
    return sorted(classes, key=lambda error: (error.__module__ != "sidecar.errors", error.__name__))


def _subclasses_of(names: set[str]) -> Iterator[tuple[str, str]]:
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base).split(".")[-1] in names for base in node.bases):
                yield node.name, module.name


def kinds(error: type[SidecarError]) -> tuple[ErrorKind, ...]:
    return SEVERAL_KINDS.get(error.__name__, (error.kind,))


def row(error: type[SidecarError], kind: ErrorKind) -> str:
    doors = DOORS_OF_CLASS.get(error.__name__, DOORS_OF_ROOM[error.__module__.split(".")[1]])
    example = error.__new__(error)
    example.kind = kind
    status, opensearch_type = error_status(example)
    answers = {
        "bridge": f"{status} `{opensearch_type}`",
        "gRPC": f"`{code_pb2.Code.Name(statuses._CODES.get(kind, code_pb2.INTERNAL))}`",
        "OpenAI": str(openai._STATUSES.get(kind, 500)),
        "command": str(command_line._EXIT_CODES.get(kind, command_line.FAILURE)),
    }
    meaning = " ".join((error.__doc__ or "").split("\n\n")[0].split())
    cells = [
        f"`{error.__name__}`",
        f"`{kind}`",
        *(answer if door in doors else "-" for door, answer in answers.items()),
        meaning,
        ADVICE_FOR_CLASS.get(error.__name__, ADVICE[kind]),
    ]
    return f"| {' | '.join(cells)} |\n"


def translations() -> Iterator[str]:
    """What the client raises for each status: with and without the server's own details where that matters."""
    for code in grpc.StatusCode:
        bare, with_pause = client_error(code, status_pb2.Status()), client_error(code, pause())
        if code is grpc.StatusCode.OK:
            continue
        other = f", `{with_pause}` if the server says when to try again" if with_pause != bare else ""
        yield f"| `{code.name}` | `{bare}`{other} |\n"


def client_error(code: grpc.StatusCode, rich: status_pb2.Status) -> str:
    error = failures._translate(code, "words", rich, address="a:1", model="m@1", expect_space="", timeout_s=1)
    return type(error).__name__


def pause() -> status_pb2.Status:
    rich = status_pb2.Status()
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromSeconds(1)
    rich.details.add().Pack(retry)
    return rich
