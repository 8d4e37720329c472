"""Documents and metadata in SQLite: the source of truth that both indexes are derived from."""
