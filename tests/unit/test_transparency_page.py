"""`docs/transparency.md` lists the reads that are compared and what differs. `--update-golden` writes it anew."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

import pytest

from tests.support.folders import ROOT
from tests.support.transparency import Row, rows

_HEAD: Final = """# Transparency

A client reads through the bridge what the cluster itself would answer, but for two fields of a bound index: the vector and
its provenance. `tests/cluster/bridge/test_reads_transparency.py` sends each request below to a bound index through the
bridge, and to an unbound index with the same documents directly. It compares status, type, encoding and body, without what
differs between any two requests, such as `took`. The searches have the mode `lexical`, because a hybrid search finds more.

The bridge hides its fields in the request, and never edits an answer. So:

- A field that a client names is shown. A pattern does not name it. `X-Sidecar-Source: 1` shows both fields.
- The vector field is shown if a client has mapped it itself, or if an index holds vectors of clients
  (`"client": 1`). The bridge asks the cluster with the client's credentials, and remembers the answer for
  `bridge.binding_ttl_s`.
- A search of several indices has one `_source`. So a name is hidden only if no index of the search has a field of its own
  with this name. If an index keeps no `_source`, a search of it hides nothing, because the cluster would refuse it.
- No client gets a `_source` that it did not ask for, as with `stored_fields` or `script_fields`.
- If the cluster refuses a request with our fields excluded, the bridge sends the client's own bytes, and the client gets
  the answer to them. Errors then name the client's own lines and columns.
- The bridge reads JSON in UTF-8, UTF-16 and UTF-32, with comments, in gzip and in `?source=`. A body in YAML, CBOR or Smile,
  or of more than 1 MiB, goes unchanged. Our fields are then excluded by URL, unless the body may have a filter of its own.
  Its `top_hits`, `inner_hits` and patterns of fields show them. So does an `_msearch` in such a format, and an update whose
  body asks for `_source`.
- `_source` is written anew by the cluster when fields are excluded: white space and the form of numbers may differ from the
  bytes that were stored.
- Answers of searches have a header more, `X-Sidecar-Search`.

This page is made from `tests/support/transparency.py` by `tests/unit/test_transparency_page.py`.
"""


def _page() -> str:
    every = sorted(rows(), key=lambda row: row.route)
    parts = [_HEAD, "## Requests whose answers differ\n", "| request | option | why |\n|---|---|---|"]
    parts += [f"| {row.route} | {_shown(row)} | {row.differs} |" for row in every if row.differs]
    parts += ["\n## Requests whose answers are the same\n", "| request | options |\n|---|---|"]
    same = [row for row in every if not row.differs]
    parts += [
        f"| {route} | {', '.join(_options(group))} |" for route, group in groupby(same, key=lambda row: row.route)
    ]
    return "\n".join(parts) + "\n"


def _options(group: Iterator[Row]) -> list[str]:
    return list(dict.fromkeys(map(_shown, group)))


def _shown(row: Row) -> str:
    return f"`{row.option.replace('`', '')}`" if row.option else "none"


def test_the_page_lists_every_request(request: pytest.FixtureRequest) -> None:
    path = ROOT / "docs/transparency.md"
    if request.config.getoption("--update-golden"):
        path.write_text(_page())

    assert path.read_text() == _page()


def test_no_request_is_listed_twice() -> None:
    sent = [(row.method, row.path, row.body, *sorted(row.headers.items())) for row in rows()]

    assert len(sent) == len(set(sent))
