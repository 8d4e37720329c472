"""Vector indexes: one small protocol, one file an engine."""
