"""Bulk bodies as items, and what is put into an outbox as it would be sent."""

import io
from collections.abc import Iterable

from sidecar.bridge.writes.bulk_body import BulkItem, Outbox, SubBulk, load, parse_bulk


def items_of(body: bytes, index: str | None = "i") -> tuple[BulkItem, ...] | None:
    places = parse_bulk(io.BytesIO(body), index)
    return None if places is None else load(places, lambda start, end: body[start:end])


def packed(items: Iterable[BulkItem], max_bytes: int) -> tuple[list[SubBulk], bytes]:
    lines = io.BytesIO()
    outbox = Outbox(lines.write, max_bytes)
    for item in items:
        outbox.add(item)
    return outbox.sub_bulks(), lines.getvalue()
