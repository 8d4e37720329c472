"""The first stage's encoder: a lookup table instead of a transformer."""

from retriever.encoder.coverage import FragmentedWord, VocabularyCoverage
from retriever.encoder.static_encoder import StaticEncoder

__all__ = ["FragmentedWord", "StaticEncoder", "VocabularyCoverage"]
