"""Finds the bindings of indices.

- `lookup.py` asks the cluster with the client's own credentials, and remembers the answer for a few seconds.
- `indices.py` reads that answer. It finds the indices of an expression, and the index that a write goes to.
"""
