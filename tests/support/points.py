"""Ids of points in time as OpenSearch writes them (2.19.1)."""

import base64


def point_in_time(*shards: tuple[str, int], cluster: str | None = None) -> dict[str, str]:
    """The member `pit` of a search of these shards."""
    stream = b"\xf7\xd6\x85A" + _number(len(shards))
    for index, number in shards:
        stream += _text(index) + _text("9HeY0AJDQ-WSrHo6b2GltA") + _number(number) + _text("Fqw1Qm2wTRKKVxcq9LD2oQ")
        stream += b"\0" if cluster is None else b"\1" + _text(cluster)
        stream += bytes(8) + _text("t6lg644ZS1mSlJ7hdW9d-g")
    stream += _number(0)  # filters of aliases
    return {"id": base64.urlsafe_b64encode(stream).decode("ascii")}


def _number(value: int) -> bytes:
    more, rest = divmod(value, 128)
    return bytes((rest | 0x80,)) + _number(more) if more else bytes((rest,))


def _text(value: str) -> bytes:
    return _number(len(value)) + value.encode("utf-8")
