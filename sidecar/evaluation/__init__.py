"""Evaluation: it measures how well a running system finds passages for judged queries.

- `data_set.py` reads a *data set*: a corpus, queries, and *judgements*, which say how relevant a document is.
  It also measures *rankings*, the ids of the hits of each query.
- `run.py` is what `sidecar eval` does: index the corpus through the bridge, search it in each mode, measure.
- `search.py` sends one search as a client does, and reads what the bridge says about it. The demo uses it, too.
- `docstrings.py` makes a corpus that is on every machine, from installed Python packages. `sidecar demo` indexes it,
  and `sidecar model build` measures with it.
"""
