"""Bytes from the client and from the cluster. This room knows nothing of vectors or queries.

- `incoming.py`: a request, taken apart once, with `headers.py` and `query_string.py` for its parts.
- `body.py`: reads a body whole, decoded and within limits, into a `spool.py` (memory, and a file past 1 MiB).
- `upstream.py`: the connections to the cluster. It forwards requests and relays answers.
- `presentation.py`: writes an answer of our own as `filter_path` and `pretty` ask. `errors.py`: errors as OpenSearch
  writes them.
"""
