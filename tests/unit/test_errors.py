"""The sentences that users read, and the kinds that programs act on."""

import pytest

from sidecar import errors
from sidecar.errors import ErrorKind, SidecarError


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (errors.InvalidInput("size", "must be a number, not [x]"), ErrorKind.BAD_INPUT, "size: must be a number, not [x]"),
        (errors.BodyTooLarge(10, "bridge.max_body_bytes"), ErrorKind.TOO_LARGE,
         "the decoded request body is larger than the limit of [10] bytes (bridge.max_body_bytes)"),
        (errors.ConfigurationError("no java"), ErrorKind.CONFIGURATION, "no java"),
        (errors.ModelNotFound("x@1", ("a@1", "b@1")), ErrorKind.NOT_FOUND,
         "model [x@1] is not known here; known: a@1, b@1"),
        (errors.ModelNotFound("x@1"), ErrorKind.NOT_FOUND, "model [x@1] is not known here"),
        (errors.SpaceMismatch("m@1", "sha256:a", "sha256:b"), ErrorKind.CONFLICT,
         "model [m@1] has space [sha256:b], but [sha256:a] is expected"),
        (errors.Conflict("it is taken"), ErrorKind.CONFLICT, "it is taken"),
        (errors.ClusterUnreachable("http://c", "refused"), ErrorKind.UNAVAILABLE,
         "no answer from the cluster at http://c: refused"),
        (errors.ClusterRefused("PUT /x", 403, "no permissions"), ErrorKind.CONFLICT,
         "PUT /x was answered with 403: no permissions"),
        (errors.EmbedderUnavailable("h:1", "refused"), ErrorKind.UNAVAILABLE,
         "no vectors from the embedder at h:1: refused"),
        (errors.EmbedderOverloaded(1.25), ErrorKind.OVERLOADED, "the embedder is busy; try again in 1.2 s"),
        (errors.DeadlineExceeded("h:1", 0.5), ErrorKind.DEADLINE, "no vectors from the embedder at h:1 within 0.5 s"),
        (errors.EmbedderMisbehaved("3 rows for 2 texts"), ErrorKind.INTERNAL,
         "the embedder's reply is not usable: 3 rows for 2 texts"),
    ],
)  # fmt: skip
def test_sentence_and_kind(error: SidecarError, kind: ErrorKind, sentence: str) -> None:
    assert (error.kind, str(error)) == (kind, sentence)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(errors.InvalidInput("f" * 10**6, "v" * 10**6), id="a field and a value"),
        pytest.param(errors.ModelNotFound("m" * 10**6), id="a model"),
        pytest.param(errors.SpaceMismatch("m" * 10**6, "e" * 10**6, "a" * 10**6), id="a space"),
        pytest.param(errors.ConfigurationError("p" * 10**6), id="a setting"),
        pytest.param(errors.ClusterRefused("c" * 10**6, 400, "r" * 10**6), id="a refusal"),
    ],
)
def test_a_name_does_not_come_back_whole(error: SidecarError) -> None:
    assert len(str(error)) < 5_000
    assert "…" in str(error)
