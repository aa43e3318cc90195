"""The command `sidecar`: each command parses its options, joins the rooms that it needs, and prints.

- `main.py` has the list of commands. It imports a command only when it is called, and turns errors into exit codes.
- `options.py` has the options that several commands share. `embedder_client.py` makes the client of the embedding
  server, and `steps.py` shows the progress of a start.
- `up.py` and `demo.py` start the whole *system*, whose *parts* are a node, an embedder and a bridge. They are child
  processes: `foreground.py` starts and stops them, and `dependent.py` lets a child end with its parent.
  `demo_pages.py` lays out the output of the demo.
- Every other file is the command, or the group of commands, of its name.
"""
