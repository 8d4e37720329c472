"""The reader learns to tell who does what to whom, and to read everything else as before.

The comparison can only tell apart what the reader's middle states tell apart, and a sentence encoder's hardly
say which side of a relation a word is on. So all layers are trained together with the comparison, on queries
and passages that are said both ways round; and on plain text its final states are held to what they were, so
that likeness and token matching stay (a hidden-state loss as in Jiao et al. 2020, "TinyBERT"). Nothing is
added to what a query costs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from rerank.checks import check_counts, check_not_negative, check_positive, check_shares
from rerank.errors import InvalidInputError
from rerank.parts import pad
from rerank.train.exchange import Exchange, MinimalPair
from rerank.train.loop import TrainingLoop
from rerank.train.model import CrossEncoderModel, mean, unit

WEIGHT_DECAY = 0.01
MEASURED = 32  # pairs measured together


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """How a reader learns to tell sides apart.

    :param steps: optimizer steps.
    :param exchanges: drawn a step.
    :param texts: plain texts a step.
    :param rate: peak learning rate of the layers.
    :param head_rate: peak learning rate of the comparison.
    :param settle: train the layers behind those compared alone, on plain text alone: what the comparison sees
        stays as it is.
    :param keep_weight: of how far final states are from what they were.
    :param warmup: share of the steps in which the rates rise.
    :param decay: of the moving average of the weights, a step.
    :param max_query: tokens read of a query.
    :param max_passage: tokens read of a passage.
    :param max_text: tokens read of a plain text.
    :param measure_every: steps between two measurements and checkpoints.
    :param seed: of the exchanges.
    :raises InvalidInputError: if a value cannot be used.
    """

    steps: int = 2000
    exchanges: int = 16
    texts: int = 6
    rate: float = 2e-4
    head_rate: float = 7e-4
    keep_weight: float = 10.0
    settle: bool = False
    warmup: float = 0.05
    decay: float = 0.99
    max_query: int = 48
    max_passage: int = 96
    max_text: int = 64
    measure_every: int = 100
    seed: int = 1

    def __post_init__(self) -> None:
        check_counts(
            1,
            steps=self.steps,
            exchanges=self.exchanges,
            texts=self.texts,
            max_query=self.max_query,
            max_passage=self.max_passage,
            max_text=self.max_text,
            measure_every=self.measure_every,
        )
        check_counts(0, seed=self.seed)
        check_positive(rate=self.rate, head_rate=self.head_rate)
        check_not_negative(keep_weight=self.keep_weight)
        check_shares(warmup=self.warmup, decay=self.decay)


class ReaderTrainer(TrainingLoop[ReaderSettings]):
    """Trains layers and comparison of a late-crossing cross-encoder.

    :param model: changed in place.
    :param original: as which plain text is to be read; also whose likeness the comparison aligns by.
    :param tokenizer: the model's.
    :param draw: makes an exchange.
    :param texts: plain ones, taken in order.
    :param held_out: to measure on.
    :param folder: gets checkpoints and a log; an interrupted training in it is resumed.
    :param settings: how.
    :raises InvalidInputError: if there is no text.
    """

    def __init__(
        self,
        model: CrossEncoderModel,
        original: CrossEncoderModel,
        tokenizer: Tokenizer,
        draw: Callable[[np.random.Generator], Exchange],
        texts: Sequence[str],
        held_out: Sequence[MinimalPair],
        folder: Path,
        settings: ReaderSettings,
    ) -> None:
        if not texts:
            raise InvalidInputError("there is no plain text to go on reading as before; give some")
        tokenizer.no_padding()
        tokenizer.no_truncation()
        super().__init__(folder, settings, workers=min(settings.exchanges, settings.texts))
        self._tokenizer, self._draw, self._texts = tokenizer, draw, texts
        self._held_out = sorted(held_out, key=lambda pair: len(pair.right))
        self.model = model.to(self.device)
        # Not `no_grad` around it: a compiled layer is compiled again for every such difference.
        self.original = original.to(self.device).requires_grad_(False)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(self._learning()))
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._trained.items()}
        rates = (("layers.", settings.rate), ("comparison.", settings.head_rate))
        groups = [
            {"params": [p for name, p in self._trained.items() if name.startswith(part)], "peak": rate}
            for part, rate in rates
            if any(name.startswith(part) for name in self._trained)
        ]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=True)
        self._compile((*self.model.layers, *self.original.layers))
        self._rng, self._drawn = np.random.default_rng(settings.seed), 0

    def _learning(self) -> tuple[str, ...]:
        """How the names of the parameters that learn begin."""
        shape = self.model.shape
        if self.settings.settle:
            return tuple(f"layers.{number}." for number in range(shape.compared, shape.layers))
        return ("layers.", "comparison.")

    def _learnt_from(self) -> Iterator[str]:
        """The plain texts; the exchanges hang on the seed alone, which the settings hold."""
        return iter(self._texts)

    def measure(self) -> dict[str, float]:
        """Measure with the averaged weights on what is held out.

        :return: share of pairs with the right passage first by sort, their likeness counted in; of all, under
            "all", and by the comparison alone, under "compared".
        """
        runs = [self._held_out[start : start + MEASURED] for start in range(0, len(self._held_out), MEASURED)]
        won: dict[str, list[bool]] = defaultdict(list)
        with self._averaged_weights():
            found = list(self._pool.map(self._margins, runs))
        for run, (alike, compared) in zip(runs, found, strict=True):
            for pair, likeness, difference in zip(run, alike.tolist(), compared.tolist(), strict=True):
                won[pair.sort].append(likeness + difference > 0)
                won["all"].append(likeness + difference > 0)
                won["compared"].append(difference > 0)
        return {sort: float(np.mean(values)) for sort, values in sorted(won.items())}

    def _margins(self, pairs: Sequence[MinimalPair]) -> tuple[Tensor, Tensor]:
        """How far right passages are ahead of wrong ones, by likeness and by the comparison."""
        settings, count = self.settings, len(pairs)
        query = self._ids([pair.query for pair in pairs], settings.max_query)
        passage = self._ids(
            [pair.right for pair in pairs] + [pair.wrong for pair in pairs], settings.max_passage
        )
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            read = self.model.read(*query).rows(torch.arange(count, device=self.device).repeat(2))
            alike, compared = self.model.score(read, self.model.read(*passage))
        return tuple((part[:count] - part[count:]).detach().float().cpu() for part in (alike, compared))  # type: ignore[return-value]

    def _advance(self) -> float:
        """One optimizer step."""
        settings = self.settings
        self._schedule()
        exchanges = self._exchanges()
        first = self.step * settings.texts
        texts = [self._texts[row % len(self._texts)] for row in range(first, first + settings.texts)]
        workers = range(self._workers)
        results = list(
            self._pool.map(
                self._gradient,
                [exchanges[place :: self._workers] for place in workers],
                [texts[place :: self._workers] for place in workers],
            )
        )
        loss = self._descend(results, [1.0 / self._workers] * self._workers)
        self._follow(settings.decay)
        return loss

    def _exchanges(self) -> list[Exchange]:
        """Those of this step; where a training goes on, those of the steps before are drawn again first."""
        wanted = 0 if self.settings.settle else self.settings.exchanges
        while self._drawn < self.step * wanted:
            self._draw(self._rng)
            self._drawn += 1
        self._drawn += wanted
        return [self._draw(self._rng) for _ in range(wanted)]

    def _gradient(
        self, exchanges: Sequence[Exchange], texts: Sequence[str]
    ) -> tuple[float, tuple[Tensor, ...]]:
        """Loss on some exchanges and texts, and its gradient by every trained parameter."""
        loss = self.settings.keep_weight * self._kept(texts)
        if exchanges:
            loss = loss + self._told_apart(exchanges)
        return float(loss.detach()), torch.autograd.grad(loss, list(self._trained.values()))

    def _told_apart(self, exchanges: Sequence[Exchange]) -> Tensor:
        """Logistic loss of what the comparison says on every query with a right and a wrong passage."""
        queries = [text for one in exchanges for text in one.queries]
        passages = [text for one in exchanges for text in one.passages]
        query_rows: list[int] = []
        passage_rows: list[int] = []
        right: list[int] = []
        wrong: list[int] = []
        shares: list[float] = []
        first_query = first_passage = 0
        for one in exchanges:
            place = {
                pair: len(query_rows) + number
                for number, pair in enumerate(product(range(len(one.queries)), range(len(one.passages))))
            }
            query_rows += [first_query + query for query, _ in place]
            passage_rows += [first_passage + passage for _, passage in place]
            ordered = [
                (place[query, better], place[query, worse])
                for query, side in enumerate(one.query_sides)
                for better, worse in product(range(len(one.passages)), repeat=2)
                if one.passage_sides[better] == side != one.passage_sides[worse]
            ]
            right += [better for better, _ in ordered]
            wrong += [worse for _, worse in ordered]
            shares += [1.0 / (len(ordered) * len(exchanges))] * len(ordered)
            first_query, first_passage = first_query + len(one.queries), first_passage + len(one.passages)
        query, query_mask = self._ids(queries, self.settings.max_query)
        passage, passage_mask = self._ids(passages, self.settings.max_passage)
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            own, other = self.original.read(query, query_mask), self.original.read(passage, passage_mask)
            similarity = unit(own.states.float())[query_rows] @ unit(other.states.float())[
                passage_rows
            ].transpose(-1, -2)
            compared = self.model.comparison(
                self.model.middle(query, query_mask)[query_rows],
                query_mask[query_rows],
                self.model.middle(passage, passage_mask)[passage_rows],
                passage_mask[passage_rows],
                similarity,
            ).float()
        missed = functional.softplus(compared[wrong] - compared[right])
        return (missed * torch.tensor(shares, device=self.device)).sum()

    def _kept(self, texts: Sequence[str]) -> Tensor:
        """How far the final states of texts are from what they were, token by token and pooled."""
        ids, mask = self._ids(texts, self.settings.max_text)
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            own, was = self.model.read(ids, mask), self.original.read(ids, mask)
        tokens = (1.0 - functional.cosine_similarity(own.states.float(), was.states.float(), dim=-1)) * mask
        pooled = 1.0 - functional.cosine_similarity(
            mean(own.states.float(), mask), mean(was.states.float(), mask), dim=-1
        )
        return tokens.sum() / mask.sum() + pooled.mean()

    def _ids(self, texts: Sequence[str], most: int) -> tuple[Tensor, Tensor]:
        """Token ids of texts and their mask, padded together."""
        ids, mask = pad([self._tokenizer.encode(text).ids[:most] for text in texts])
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)
