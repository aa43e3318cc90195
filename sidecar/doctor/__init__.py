"""Doctor: it compares the parts of a system with each other, and writes nothing.

In the order in which `sidecar doctor` goes through the room:

- `reading.py` asks the embedding server, the cluster and the bridge, and hands their answers to the pure modules.
- `parts.py` examines these parts and the installed templates. `indices.py` examines a bound index, `mappings.py`
  its mapping, and `guards.py` the pipelines that guard it.
- `findings.py` has the words of the answer. A *subject* is a part, a template or an index. A *finding* is one
  thing that is wrong there, with a *level* and a *remedy*. `report` makes JSON of them.

*Facts* are the answers of the cluster about one subject, before they are judged.
"""
