"""Train the reader of a reranker, together with its comparison, to tell sides and senses apart.

    python -m rerank.recipes.reader --data DATA/train --start OLD --out WORK/reader --until 1000
    python -m rerank.recipes.reader --data DATA/train --start OLD --weights WORK/reader --out WORK/second
        --settings '{"steps": 500, "rate": 1e-4, "head_rate": 3e-4, "keep_weight": 30, "texts": 8,
        "max_text": 160, "seed": 2}'

    python -m rerank.recipes.reader --data DATA/train --start OLD --weights WORK/second --out WORK/settled
        --settings '{"settle": true, "steps": 700, "rate": 3e-4, "texts": 16, "max_text": 256, "seed": 4}'
    python -m rerank.recipes.reader --data DATA/train --start OLD --weights WORK/settled --out WORK/longer
        --settings '{"settle": true, "steps": 4000, "rate": 3e-4, "texts": 16, "max_text": 256, "seed": 5}'

OLD is the folder of an exported reranker. With --weights a training is gone on from, with a dictionary's
words beside the others, and text of every kind, not of Wikipedia alone, is to be read as OLD does; last the
layers behind the comparison learn to make up for what is still missed, also of longer texts. Then the
comparison is trained on with mined lists (`rerank.recipes.train --start WORK/longer`). A training that was
interrupted goes on when the same command is given again.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from rerank.recipes.exchanges import Exchanges
from rerank.recipes.held_out import held_out_pairs
from rerank.recipes.senses import Word, glossed_words
from rerank.recipes.sources import LISTS, paragraphs, read_pairs
from rerank.train.checkpoint import read_checkpoint
from rerank.train.reader import ReaderSettings, ReaderTrainer
from rerank.train.start import start_from

FRAMES, SENSES = 1600, 400  # pairs measured on
LONG_TEXTS = 20_000  # joined of paragraphs


def _of_every_kind(data: Path) -> list[str]:
    """Queries and passages of the sources that lists are mined from, and as many paragraphs."""
    rng = np.random.default_rng(0)
    pairs = [
        pair for name, count in LISTS.items() for pair in read_pairs(data / f"{name}.jsonl.gz", count, rng)
    ]
    texts = [text for pair in pairs for text in pair]
    return [*texts, *islice(paragraphs(data), len(texts))]


def _joined(wikipedia: Iterator[str]) -> list[str]:
    """Texts of three neighbours each: as long as a window."""
    some = list(islice(wikipedia, 3 * LONG_TEXTS))
    return [" ".join(some[row : row + 3]) for row in range(0, len(some), 3)]


def _alike_long(texts: list[str], together: int, rng: np.random.Generator) -> list[str]:
    """Put texts of about one length together: little of a step is padding."""
    ordered = sorted(texts, key=len)
    runs = [ordered[row : row + together] for row in range(0, len(ordered) - together + 1, together)]
    return [text for row in rng.permutation(len(runs)) for text in runs[row]]


def main() -> None:
    """Read the options and train."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--start", type=Path, required=True, help="folder of the reranker to start from")
    parser.add_argument("--weights", type=Path, help="training folder whose weights are gone on from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the training")
    parser.add_argument("--until", type=int, help="stop after this step")
    parser.add_argument("--settings", type=json.loads, default={}, help="settings as a JSON object")
    options = parser.parse_args()
    settings = ReaderSettings(**options.settings)
    original, tokenizer = start_from(options.start)
    model, count = copy.deepcopy(original), settings.steps * settings.texts
    glossed: list[Word] = []
    if options.weights is None:
        texts = list(islice(paragraphs(options.data), count))
    else:
        weights, average, _ = read_checkpoint(options.weights)
        model.load_state_dict(weights | average)
        glossed = glossed_words(options.data / "wordnet_glosses.jsonl.gz")
        texts = _of_every_kind(options.data)
        rng = np.random.default_rng(settings.seed)
        if settings.settle:
            texts = _alike_long([*texts, *_joined(paragraphs(options.data))], settings.texts, rng)
        else:
            texts = [texts[row] for row in rng.permutation(len(texts))[:count]]
    trainer = ReaderTrainer(
        model,
        original,
        tokenizer,
        Exchanges.to_train_on(glossed),
        texts,
        held_out_pairs(FRAMES, SENSES),
        options.out,
        settings,
    )
    figures = trainer.run(
        lambda step, loss: logging.info("step %d loss %.4f", step, loss) if step % 20 == 0 else None,
        until=options.until,
    )
    logging.info("%s", figures)


if __name__ == "__main__":
    main()
