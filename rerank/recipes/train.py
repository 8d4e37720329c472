"""Train a bundled reranker on the ranking lists of `rerank.recipes.lists`.

    python -m rerank.recipes.train --lists lists.jsonl.gz --encoder all-MiniLM-L6-v2 --out WORK/accurate
        --steps 700

A training that was interrupted goes on when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path

import torch
from tokenizers import Tokenizer

from rerank.train.lists import read_lists
from rerank.train.model import CrossEncoderModel
from rerank.train.start import from_training
from rerank.train.trainer import Settings, Trainer


def main() -> None:
    """Read the options and train."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument(
        "--encoder",
        type=Path,
        required=True,
        help="folder of the sentence encoder to start from; with --start its tokenizer alone counts",
    )
    parser.add_argument("--start", type=Path, help="training folder whose weights are started from instead")
    parser.add_argument("--out", type=Path, required=True, help="folder of the training")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--until", type=int, help="stop after this step, for another training to start from")
    parser.add_argument("--settings", type=json.loads, default={}, help="other settings as a JSON object")
    options = parser.parse_args()
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(options.encoder / "tokenizer.json"))
    if options.start is None:
        model = CrossEncoderModel.from_encoder(options.encoder)
    else:
        model = from_training(options.start)
    settings = Settings(steps=options.steps, **options.settings)
    trainer = Trainer(model, tokenizer, list(read_lists(options.lists)), options.out, settings)
    figures = trainer.run(
        lambda step, loss: logging.info("step %d loss %.4f", step, loss) if step % 20 == 0 else None,
        until=options.until,
    )
    (options.out / "result.json").write_text(
        json.dumps({"settings": asdict(settings), "dev": figures}, indent=1), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
