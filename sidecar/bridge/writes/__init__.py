"""Writes: texts get their vectors, and every vector its provenance."""
