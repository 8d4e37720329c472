"""Recipes: the commands that made the bundled weights."""
