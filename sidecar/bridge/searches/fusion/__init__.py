"""A search whose two legs the bridge fuses itself.

`search.py` shows the way from top to bottom: `request.py` is the search, `legs.py` writes the requests of both phases,
`answer.py` reads and composes answers, `arithmetic.py` fuses scores as the neural-search plugin does, and `ranking.py`
picks the page. `several.py` runs the fused searches of one `_msearch` side by side. A *window* is the number of
candidates that each leg gives.
"""
