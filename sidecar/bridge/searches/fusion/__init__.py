"""Runs a search whose two legs the bridge fuses itself.

`search.py` runs it from top to bottom. The first phase gets the candidates of both legs, the second one the page:

- `request.py` describes the search, and `legs.py` writes the requests of both phases.
- `answer.py` reads the answers and composes ours.
- `arithmetic.py` fuses scores as the neural-search plugin does, and `ranking.py` selects the documents of the page.
- `explanations.py` explains the scores of a page.
- `several.py` runs the fused searches of one `_msearch` at the same time.

A *window* is the number of candidates that each leg gives.
"""
