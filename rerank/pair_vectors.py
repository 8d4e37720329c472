"""Vectors for pairs of texts, each text encoded once however many pairs it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rerank.protocol import FloatArray


def pair_vectors(
    encode: Callable[[list[str]], FloatArray], pairs: Sequence[tuple[str, str]]
) -> tuple[FloatArray, FloatArray]:
    """Encode both sides of pairs.

    :param encode: turns n different texts into vectors, shape (n, d).
    :param pairs: m pairs of texts.
    :return: the vectors of the left sides and those of the right sides, shape (m, d) each.
    """
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    row = {text: place for place, text in enumerate(texts)}
    vectors = encode(texts)
    return vectors[[row[left] for left, _ in pairs]], vectors[[row[right] for _, right in pairs]]
