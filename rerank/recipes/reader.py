"""Train the reader of a reranker, together with its comparison, to tell sides and senses apart.

    python -m rerank.recipes.reader --data DATA/train --start OLD --out WORK/reader

OLD is the folder of an exported reranker. Then train the comparison on with mined lists
(`rerank.recipes.train --start WORK/reader`). A training that was interrupted goes on when the same command is
given again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
from itertools import islice
from pathlib import Path

import numpy as np

from rerank.recipes.exchanges import Exchanges
from rerank.recipes.frames import framed, read_groups
from rerank.recipes.senses import ambiguous, read_words
from rerank.train.exchange import MinimalPair
from rerank.train.reader import ReaderSettings, ReaderTrainer
from rerank.train.start import start_from

FRAMES, SENSES = 1600, 400  # pairs measured on


def held_out_pairs() -> list[MinimalPair]:
    """Draw minimal pairs of the relations and words that are kept from training.

    :return: always the same ones.
    """
    (_, groups), (_, words), rng = read_groups(), read_words(), np.random.default_rng(0)
    drawn = [framed(groups, rng) for _ in range(FRAMES)]
    drawn += [("senses", ambiguous(words, rng)) for _ in range(SENSES)]
    return [MinimalPair(sort, query, *passages[:2]) for sort, (query, passages) in drawn]


def main() -> None:
    """Read the options and train."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--start", type=Path, required=True, help="folder of the reranker to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the training")
    parser.add_argument("--until", type=int, help="stop after this step")
    parser.add_argument("--settings", type=json.loads, default={}, help="settings as a JSON object")
    options = parser.parse_args()
    settings = ReaderSettings(**options.settings)
    model, tokenizer = start_from(options.start)
    with gzip.open(options.data / "enwiki_passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, settings.steps * settings.texts)]
    trainer = ReaderTrainer(
        model, tokenizer, Exchanges.to_train_on(), texts, held_out_pairs(), options.out, settings
    )
    figures = trainer.run(
        lambda step, loss: logging.info("step %d loss %.4f", step, loss) if step % 20 == 0 else None,
        until=options.until,
    )
    logging.info("%s", figures)


if __name__ == "__main__":
    main()
