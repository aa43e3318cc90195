"""Searches. They also find documents by meaning, but no document that the client may not see.

`search_handler.py` and `msearch_handler.py` handle a request from top to bottom. `query_handler.py` handles requests
that have a query and are no searches. `planner.py` looks up bindings, plans, embeds, and decides on the next attempt
after a refusal. Around them:

- `search_body.py`, `msearch_body.py` and `search_template.py` read the body into an object. `wrapper.py` opens
  queries in base64.
- `request_options.py` reads the options that a client sets for one request.
- `embed_budget.py` decides how long a search waits for its vectors.
- `rewrite/` has pure rules on the query. It decides the plan and writes the new body.
- `fusion/` runs searches whose two legs the bridge fuses itself.
- `hybrid_support.py` finds out where the cluster refuses `hybrid`.
- `outcome.py` and `explanation.py` have the words of `X-Sidecar-Search` and `X-Sidecar-Explain`.
"""
