"""Which index is bound to which model version.

- `lookup.py` asks the cluster with the client's own credentials, and remembers the answer for seconds.
- `indices.py` reads that answer: the indices behind an expression, and the index that a write goes to.
"""
