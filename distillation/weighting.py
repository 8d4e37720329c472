"""How much a token counts in the mean: frequent ones little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retriever.errors import InvalidInputError

SIF = 1e-4  # the `a` of Arora et al.: tokens rarer than this keep their weight
_BLOCK = 4096  # texts tokenized at once


def sif_weights(probabilities: NDArray[np.float64], *, a: float = SIF) -> NDArray[np.float32]:
    """Smooth inverse frequency: a / (a + p).

    Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings" (2017), equation 3.

    :param probabilities: float64 (v,), each token's share of running text.
    :param a: the probability at which a token counts half.
    :return: float32 (v,), in (0, 1].
    """
    return (a / (a + probabilities)).astype(np.float32)


def zipf_probabilities(size: int) -> NDArray[np.float64]:
    """Probabilities guessed from rank alone: the token on rank r has a share proportional to 1 / r.

    Vocabularies are mostly stored in order of frequency, which makes this work without any text.

    :param size: rows of the table, most frequent first.
    :return: float64 (size,), summing to 1.
    """
    # Ranks start at 2 as in model2vec: padding and unknown stand before the first word.
    shares = 1.0 / np.arange(2, size + 2)
    normalised: NDArray[np.float64] = shares / shares.sum()
    return normalised


def counted_probabilities(tokenizer: Tokenizer, corpus: Iterable[str]) -> NDArray[np.float64]:
    """Count how often each token occurs in a corpus.

    :param tokenizer: the table's.
    :param corpus: texts, also a generator.
    :return: float64 (v,), summing to 1; one is added to each count, so that unseen tokens are rare and not
        impossible.
    :raises InvalidInputError: if there is nothing to count.
    """
    counts = np.ones(tokenizer.get_vocab_size(), dtype=np.float64)
    for block in _blocks(corpus):
        for encoding in tokenizer.encode_batch_fast(block, add_special_tokens=False):
            np.add.at(counts, encoding.ids, 1.0)
    if counts.sum() == len(counts):
        raise InvalidInputError(
            "the corpus that token frequencies are counted on has no text; give one that has, or none, to "
            "have them guessed from rank"
        )
    probabilities: NDArray[np.float64] = counts / counts.sum()
    return probabilities


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield lists of at most `_BLOCK` texts."""
    iterator = iter(texts)
    while block := list(islice(iterator, _BLOCK)):
        yield block
