"""Benchmarks: speed and quality of the parts, each with a committed result."""
