"""Searches: what the user means is found by meaning too, never wider than the client may see."""
