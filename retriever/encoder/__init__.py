"""The first stage's encoder: a lookup table instead of a transformer."""

from retriever.encoder.static_encoder import StaticEncoder

__all__ = ["StaticEncoder"]
