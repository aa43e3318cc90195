"""Repair: it finds stored vectors that are not those of their texts, and writes right ones.

In the order in which `sidecar repair` goes through the room:

- `scan.py` asks which indices are bound (`targets.py`) and reads their documents, a page at a time (`pages.py`).
- `documents.py` judges a document: its *faults* are the bound fields that are not right, each of a *kind*.
- `passes.py` goes over an index. It starts with what is pending, which searches by meaning miss, and then *audits*:
  every document is judged. `watch.py` does that again and again.
- `repairer.py` takes a page: it has the texts embedded, sends the writes of `write_repairs.py` and looks again at the
  documents that changed meanwhile. Each fault has an *outcome*, which `report.py` counts.
- `patience.py` waits for a cluster or an embedder that is away or busy.
"""
