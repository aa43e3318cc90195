"""Moves bytes between the client and the cluster. This room knows nothing of vectors or queries.

- `incoming.py` parses a request once. `headers.py` and `query_string.py` read its parts, `identity.py`
  who the client is, and `signature.py` whether it is signed for AWS.
- `body.py` reads a body whole, decoded and within limits, into a `spool.py` (memory, and a file past 1 MiB).
- `upstream.py` has the connections to the cluster. It forwards requests and relays answers.
- `presentation.py` applies `filter_path` and `pretty` to an answer of our own. `errors.py` writes errors as OpenSearch
  does.
"""
