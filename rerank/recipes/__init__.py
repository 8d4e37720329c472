"""How the bundled rerankers are made: the data, the order, the commands."""
