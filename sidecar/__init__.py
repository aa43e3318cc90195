"""Embedding layer for OpenSearch: a gRPC embedding server, an HTTP bridge and templates for model versions."""

__version__ = "0.1.0"
