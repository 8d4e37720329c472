"""The second stage alone, over texts that some other retriever found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rerank.protocol import Reranker
from retriever.errors import ConfigError, InvalidInputError, ModelError
from retriever.pipeline import Retriever


def reranker_of(retriever: Retriever) -> Reranker:
    """Return a retriever's reranker.

    :raises ConfigError: if it has none.
    """
    if retriever.reranker is None:
        raise ConfigError("this retriever has no reranker; build it with another `reranker` than None")
    return retriever.reranker


def best_first(
    reranker: Reranker, query: str, texts: Sequence[str], *, limit: int
) -> list[tuple[int, float]]:
    """Order texts by how well they answer a query.

    :param query: a question, a claim or keywords; not empty.
    :param texts: n texts.
    :param limit: at most this many.
    :return: (position in `texts`, logit), best first; equal logits keep the order of the texts.
    :raises InvalidInputError: if the query is empty or the limit below 1.
    :raises ModelError: if the reranker does not return one finite number a text.
    """
    if not query.strip():
        raise InvalidInputError("the query is empty; give a question, a claim or keywords")
    if limit < 1:
        raise InvalidInputError(f"at most {limit} results were asked for; ask for 1 or more")
    if not texts:
        return []
    scores = np.asarray(reranker.score(query, list(texts)), dtype=np.float32)
    if scores.shape != (len(texts),) or not np.isfinite(scores).all():
        raise ModelError(
            f"{type(reranker).__name__} returned scores of shape {scores.shape} for {len(texts)} texts; "
            "score must return one finite number a text"
        )
    order = np.argsort(-scores, kind="stable")[:limit].tolist()
    return [(position, float(scores[position])) for position in order]
