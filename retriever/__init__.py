"""Two-stage retrieval: a static lookup-table encoder finds, a cross-encoder decides."""
