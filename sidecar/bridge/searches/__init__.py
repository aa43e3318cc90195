"""Searches: found by meaning too, and never wider than the client may see.

`search_handler.py` and `msearch_handler.py` show the way from top to bottom. `planner.py` binds, plans, embeds and
says what to try after a refusal. Around them:

- `search_body.py`, `msearch_body.py`, `search_template.py`: the body as an object.
- `request_options.py`: the options that a client sets for one request.
- `rewrite/`: pure rules on the query. It decides the plan and writes the new body.
- `fusion/`: searches whose two legs the bridge fuses itself.
- `outcome.py`, `explanation.py`: the words of `X-Sidecar-Search` and `X-Sidecar-Explain`.
"""
