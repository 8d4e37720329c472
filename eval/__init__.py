"""Measuring a retriever: metrics, studies, benchmarks."""
