"""Pure rules on a search body.

`plan.py` decides and rewrites. It asks the others in this order:

- `neural.py`: the client's own `neural` clauses.
- `eligibility.py`: the options.
- `pipelines.py` and `fusibility.py`: the place of fusion.
- `intent.py`: the texts and constraints of the query. `texts.py` reads one clause of it.

`companion.py` decides whether a search takes the companion along. `point_in_time.py` reads the shards from the id of a
point in time.
"""
