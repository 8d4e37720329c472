"""Rerankers: score (query, passage) pairs."""
