"""Pure rules on a search body.

`plan.py` decides and rewrites. It asks, in this order: `neural.py` for the client's own `neural` clauses,
`eligibility.py` for the options, `pipelines.py` and `fusibility.py` for the place of fusion, `intent.py` for texts and
constraints of the query, with `texts.py` for one clause. `companion.py` says whether an empty index is searched beside
it, and `point_in_time.py` reads the shards from the id of a point in time.
"""
