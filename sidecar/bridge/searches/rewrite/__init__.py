"""Pure rules on a search body.

`plan.py` decides and rewrites. It asks the others in this order:

- `neural.py`: the client's own `neural` clauses.
- `defaults.py` and `eligibility.py`: the options, first by their values.
- `pipelines.py` and `fusibility.py`: the place of fusion.
- `intent.py`: the texts and constraints of the query. `texts.py` reads one clause of it, by the fields of
  `text_fields.py` and with the `minimum_should_match` of `minimum.py`.

`companion.py` decides whether a search takes the companion along. `point_in_time.py` reads the shards from the id of a
point in time.
"""
