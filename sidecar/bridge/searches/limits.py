"""The limits up to which the bridge reads, plans and fuses a search. A larger search is forwarded unchanged.

Pure. All clients share one interpreter, so no search may keep it long. Within these limits one call of the JSON parser
takes less than a tenth of a second, and a plan about as long. Real searches are far smaller: the cluster itself takes
1,024 clauses and 65,536 terms (`indices.query.bool.max_clause_count`, `index.max_terms_count`).
"""

from typing import Final

from sidecar.bridge.proxy.spool import Spool

MAX_BODY_BYTES: Final = 1024 * 1024  # decoded, of a search or of a whole `_msearch`
MAX_OBJECTS: Final = 20_000  # in a body
MAX_VALUES: Final = 100_000  # in a body
MAX_ITEMS: Final = 1_000  # of an `_msearch`
MAX_FIELDS: Final = 1_024  # names and patterns of the fields of one clause
MAX_NEURAL_CLAUSES: Final = 1_024

TOO_DEEP: Final = "search_after behind a fused score reaches the first"  # the refusal of a page beyond that

MAX_LEGS_BYTES: Final = 16 * 1024 * 1024  # of a request that has the query once for each leg and shard
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024  # of all answers that the bridge reads to answer one request


def is_too_large(text: Spool | None) -> bool:
    """Whether a body has more parts than the bridge plans. Signs within texts count too, so the numbers are bounds.

    None is a body in a coding that we do not read.
    """
    if text is None or text.size > MAX_BODY_BYTES:
        return text is not None
    return is_too_large_text(text.read())


def is_too_large_text(whole: bytes) -> bool:
    """Whether a text of JSON has more parts than the bridge plans."""
    return whole.count(b"{") > MAX_OBJECTS or whole.count(b",") > MAX_VALUES


def has_too_many_items(text: Spool | None) -> bool:
    """Whether an `_msearch` has more searches than the bridge plans. Each has two lines."""
    return is_too_large(text) or (text is not None and text.read().count(b"\n") > 2 * MAX_ITEMS + 1)
