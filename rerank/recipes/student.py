"""Train a reranker of half the layers: it learns to read as the bundled one does.

    python -m rerank.recipes.student --data DATA/train --lists lists.jsonl.gz --encoder OLD
        --teacher WORK/last --out WORK/student --settings '{"steps": 4500}'
    python -m rerank.recipes.student --data DATA/train --lists lists.jsonl.gz --encoder OLD
        --teacher WORK/last --start WORK/student --intermediate 1024 --out WORK/narrow
        --settings '{"steps": 2000, "rate": 4e-4, "seed": 1}'

OLD and WORK/last are those of the bundled reranker's card; the second command leaves a third of the inner
units out, too. Then the comparison is trained on (`rerank.recipes.train --start WORK/narrow`). A training
that was interrupted goes on when the same command is given again. What came of it is in the fast
reranker's card.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from rerank.recipes.sources import LISTS, paragraphs, read_pairs
from rerank.train.batches import Collator
from rerank.train.lists import read_lists
from rerank.train.start import from_training
from rerank.train.student import StudentSettings, StudentTrainer

LONGEST = 224  # tokens read of a text; the window is 256 with the query
PARAGRAPHS = 60_000  # of Wikipedia: what to read as the teacher does is not to run short
SHORT_LISTS = 20_000  # of those whose texts are alike by construction: what the comparison has to tell apart


def _texts(data: Path, lists: Path) -> Iterator[str]:
    """Queries and passages of every kind: of the sources, and of the lists made from frames."""
    rng = np.random.default_rng(0)
    for name, count in LISTS.items():
        for pair in read_pairs(data / f"{name}.jsonl.gz", count, rng):
            yield from pair
    yield from islice(paragraphs(data), PARAGRAPHS)
    short = (one for one in read_lists(lists) if not one.teachers)
    for one in islice(short, SHORT_LISTS):
        yield from (one.query, *one.passages)


def main() -> None:
    """Read the options and train."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True, help="its tokenizer is the model's")
    parser.add_argument("--teacher", type=Path, required=True, help="training folder of the teacher")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 2, 5], help="of the teacher's, kept")
    parser.add_argument("--start", type=Path, help="training folder of a student to go on from instead")
    parser.add_argument("--intermediate", type=int, help="inner units kept in each layer")
    parser.add_argument("--out", type=Path, required=True, help="folder of the training")
    parser.add_argument("--settings", type=json.loads, default={}, help="settings as a JSON object")
    options = parser.parse_args()
    torch.manual_seed(0)
    teacher = from_training(options.teacher)
    student = from_training(options.start) if options.start else teacher.shortened(tuple(options.layers))
    if options.intermediate is not None:
        student = student.narrowed(options.intermediate)
    tokenizer = Tokenizer.from_file(str(options.encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    collate = Collator(tokenizer, LONGEST, LONGEST, teachers={}, sharpness=1.0)
    texts = collate.passage_ids(list(dict.fromkeys(_texts(options.data, options.lists))))
    settings = StudentSettings(**options.settings)
    trainer = StudentTrainer(teacher, student, texts, options.out, settings)
    figures = trainer.run(
        lambda step, loss: logging.info("step %d loss %.4f", step, loss) if step % 20 == 0 else None
    )
    logging.info("%s", figures)


if __name__ == "__main__":
    main()
