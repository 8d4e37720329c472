"""What a query token's match is worth: rare words much, common ones little."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from rerank.train.model import CrossEncoderModel

RIDGE = 1.0
SPECIAL = 0.1  # weight of [CLS] and [SEP]; words have 0.7 to 9
TOKENS_A_QUERY = 64


def weigh_terms(
    model: CrossEncoderModel, tokenizer: Tokenizer, queries: Sequence[str], passages: Sequence[str]
) -> float:
    """Set the model's term weights to the inverse document frequency of the query's tokens.

    The weight is read from a token's state, w = softmax(state · a + b), so a and b are fitted by ridge regression
    to log idf, idf = log(1 + n / (1 + df)) (Spärck Jones 1972), over the tokens of the queries.

    :param model: reads the two texts apart; its term weights are replaced.
    :param tokenizer: the model's.
    :param queries: give the states.
    :param passages: n of them; document frequencies are counted on them.
    :return: share of the variance of log idf that the fit explains.
    """
    frequency: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch_fast(list(passages), add_special_tokens=False):
        frequency.update(set(encoding.ids))
    states, targets = [], []
    for encoding in tokenizer.encode_batch_fast(list(queries)):
        ids = encoding.ids[:TOKENS_A_QUERY]
        with torch.no_grad():
            read = model.read_apart(torch.tensor([ids]), torch.ones(1, len(ids)))[0]
        states.append(read.double())
        targets += [
            math.log(SPECIAL if special else math.log(1 + len(passages) / (1 + frequency[token])))
            for token, special in zip(ids, encoding.special_tokens_mask, strict=False)
        ]
    x, y = torch.cat(states), torch.tensor(targets, dtype=torch.float64)
    centre, level = x.mean(0), y.mean()
    x, y = x - centre, y - level
    weights = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    with torch.no_grad():
        model.term_weight.weight.copy_(weights[None].float())
        model.term_weight.bias.copy_((level - centre @ weights)[None].float())
    return 1.0 - float(((y - x @ weights) ** 2).sum() / (y**2).sum())
