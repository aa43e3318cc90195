"""Templates: they bind the texts of an index to the vector field of a model version.

In the order in which `sidecar template apply` goes through the room:

- `base.py` reads the *base*, the mapping and settings that an index would have without us.
- `compiler.py` makes the documents to install, from the files in `ingest_pipelines/` (`shipped.py`) and the names in
  `naming.py`. `companion.py` makes the *companion*, an empty index that makes searches of one shard quicker.
- `installed.py` reads the templates and pipelines that are in the cluster.
- `changes.py` compares both. It makes the list of changes, and refuses those that contradict the cluster.
- `apply.py` asks the cluster, makes the changes, and takes them back after a failure. It also deletes and lists.
- `audit.py` says for `sidecar doctor` whether an installed template is still as `apply` would install it.

The *guard* is the ingest pipeline that checks in the cluster that a vector is that of its text.
"""
