"""A request of the fuzzer, and what all its requests are drawn from: bodies that are JSON, nearly JSON, or no JSON."""

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import strategies as st

RUN: Final = b"RUNRUN"  # in path and body: the number of the request, which makes its ids its own
INDEX: Final = b"INDEX"  # in path and body: the name of an index
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

MAPPING: Final = {  # what is not named is stored and not mapped: no request changes what the next one meets
    "dynamic": False,
    "properties": {
        "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        "abstract": {"type": "text"},
        "year": {"type": "integer", "store": True},
        "tag": {"type": "keyword"},
        "team": {"type": "keyword"},
        "parts": {"type": "nested", "properties": {"text": {"type": "text"}}},
    },
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One request. `allowed` are the ids that its filters let through, where the fuzzer knows them."""

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    coding: str = ""
    allowed: frozenset[str] | None = None

    def about(self, index: str, run: int) -> tuple[str, str, bytes | None, dict[str, str]]:
        """What goes to a server: method, target, body and headers."""
        number = b"%06d" % run
        path = self.path.replace(INDEX.decode(), index).replace(RUN.decode(), number.decode())
        if self.body is None:
            return self.method, path, None, self.headers
        body = self.body.replace(INDEX, index.encode()).replace(RUN, number)
        named = {"Content-Encoding": self.coding.partition(" ")[0]} if self.coding else {}
        return self.method, path, CODINGS[self.coding](body), {**self.headers, **named}


CODINGS: Final = {  # what follows a blank says how the bytes are wrong, or odd
    "": lambda body: body,
    "gzip": gzip.compress,
    "gzip twice": lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]),
    "gzip cut": lambda body: gzip.compress(body)[:-9],
    "gzip padded": lambda body: gzip.compress(body) + b"\0" * 8,
    "gzip not": lambda body: body,
    "deflate": zlib.compress,
    "deflate raw": lambda body: zlib.compress(body)[2:-4],
    "identity": lambda body: body,
    "unknown": lambda body: body,
}
codings = st.one_of(st.just(""), st.just(""), st.just("gzip"), st.sampled_from(sorted(CODINGS)))


@st.composite
def mostly(draw: st.DrawFn, usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], one_in: int = 6) -> Any:
    """Something usual, and one time in so many something odd: a request with many faults shows only its first."""
    return draw(odd if draw(st.integers(1, one_in)) == one_in else usual)


_CUTS: Final = (b"", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\xbd", b"\xc0\x80", b"\0", b"\\", b'"', b"{", b"}", b"/* */",
                b",", b"\n", b"\r\n", b"1e999", b"\xf0\x9f\xa6\x89", b"\\ud800", b"\\u0000", b"//", b"#", b"'", b"NaN")  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, body: bytes) -> bytes:
    """The body with some bytes at one place replaced by others."""
    start = draw(st.integers(0, len(body)))
    end = start + draw(st.integers(0, 3))
    return body[:start] + draw(st.sampled_from(_CUTS)) + body[end:]


def _doubled(text: str) -> str:
    return "{" + text.strip()[1:-1] + "," + text.strip()[1:] if len(text) > 2 else text


FORMS: Final = {
    "spaced": lambda value: json.dumps(value, ensure_ascii=False, separators=(" , ", " : ")).encode(
        "utf-8", "surrogatepass"
    ),
    "compact": lambda value: json.dumps(value, separators=(",", ":")).encode(),
    "utf-8": lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"),
    "byte order mark": lambda value: b"\xef\xbb\xbf" + json.dumps(value).encode(),
    "comment": lambda value: json.dumps(value).replace(":", "/* a */:", 1).encode(),
    "comment of a line": lambda value: b"// a\r" + json.dumps(value).encode(),
    "escaped names": lambda value: json.dumps(value).replace('"t', '"\\u0074').encode(),
    "every key twice": lambda value: _doubled(json.dumps(value)).encode(),
    "more behind": lambda value: json.dumps(value).encode() + b" {}",
    "cut": lambda value: json.dumps(value).encode()[:-1],
    "single quotes": lambda value: json.dumps(value).replace('"', "'").encode(),
    "UTF-16": lambda value: json.dumps(value).encode("utf-16"),
}


@st.composite
def rendered(draw: st.DrawFn, value: Any) -> bytes:
    """A value as JSON, in some form that a server may or may not read."""
    form = draw(mostly(st.sampled_from(["spaced", "compact", "utf-8"]), st.sampled_from(sorted(FORMS)), 4))
    return FORMS[form](value)


def nested(levels: int) -> Any:
    """An array in an array …"""
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


def with_query(path: str, query: list[str]) -> str:
    return f"{path}?{'&'.join(query)}" if query else path
