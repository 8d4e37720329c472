"""Training of rerankers; needs the extra `train`."""
