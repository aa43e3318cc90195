"""OpenSearch: a client of the cluster, and a local node for development and tests.

`client.py` implements `ports.Cluster` with opensearch-py. Commands and the bridge ask their own questions with it.

The local node, in the order in which it starts:

- `assembly.py` makes the *home*, a read-only folder of jars from Maven that all nodes share. `java.py` finds a Java.
- `instance.py` describes the *instance*, the folder of one node: its files, configuration and arguments.
- `local.py` starts the process, waits until it answers, and stops it. The node ends with the process that started it.
- `detached.py` keeps the one node that outlives its command, for `sidecar node`.
"""
