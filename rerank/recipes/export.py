"""Export a training of `rerank.recipes.train` to the folder that the runtime loads.

python -m rerank.recipes.export --training WORK/accurate --encoder all-MiniLM-L6-v2
    --lists lists.jsonl.gz --out retriever/models/reranker

`--again retriever/models/reranker` writes what was exported before anew, weights and ranges as they were.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer

from rerank.train.checkpoint import read_checkpoint
from rerank.train.export import export, trim_positions, trim_vocabulary
from rerank.train.graph import Range
from rerank.train.lists import read_lists
from rerank.train.model import Architecture, CrossEncoderModel
from rerank.train.start import from_reranker, ranges_of

WINDOW = 256
POSITIONS = 384  # half as many again, for those who want a wider window
SCRIPTS = (
    (0x0, 0x24F),
    (0x370, 0x3FF),
    (0x2000, 0x22FF),
)  # Latin, Greek, and the signs of prose and formulas


def readable_rows(tokenizer: Tokenizer) -> set[int]:
    """Rows of the vocabulary that English text can use: no reserved places, no other scripts, nothing split.

    :param tokenizer: a WordPiece tokenizer.
    :return: their ids.
    """
    return {
        row
        for token, row in tokenizer.get_vocab().items()
        if not token.startswith("[unused")
        and all(any(low <= ord(sign) <= high for low, high in SCRIPTS) for sign in token)
        and is_whole(token, tokenizer)
    }


def is_whole(token: str, tokenizer: Tokenizer) -> bool:
    """Whether a token can come about: punctuation is a word of its own, so nothing goes on with it.

    :param token: of a WordPiece vocabulary.
    :param tokenizer: splits text into words.
    :return: False of "##;", which no text has.
    """
    word = f"x{token[2:]}" if token.startswith("##") and len(token) > 2 else token
    return len(tokenizer.pre_tokenizer.pre_tokenize_str(word)) == 1


def _model(options: argparse.Namespace) -> tuple[CrossEncoderModel, Tokenizer, int, dict[str, Range]]:
    """The model, its tokenizer, the step it was trained to and the ranges that are known."""
    if options.again is not None:
        config = json.loads((options.again / "config.json").read_text(encoding="utf-8"))
        return *from_reranker(options.again), int(config["training_step"]), ranges_of(options.again)
    tokenizer = Tokenizer.from_file(str(options.encoder / "tokenizer.json"))
    if options.training is None:  # its comparison silent
        torch.manual_seed(0)
        return CrossEncoderModel.from_encoder(options.encoder), tokenizer, 0, {}
    weights, average, state = read_checkpoint(options.training)
    model = CrossEncoderModel(Architecture(**state["architecture"]))
    model.load_state_dict(weights | average)
    return model, tokenizer, int(state["step"]), {}


def main() -> None:
    """Read the options and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--training", type=Path, help="folder of the training; none exports the encoder as it is"
    )
    parser.add_argument(
        "--again", type=Path, help="folder of a reranker that was exported before, instead of a training"
    )
    parser.add_argument("--encoder", type=Path, help="its tokenizer is the model's; not needed with --again")
    parser.add_argument(
        "--lists", type=Path, required=True, help="training text, for the activations' ranges"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--comparison", type=float, default=1.0, help="how much more what the comparison says counts"
    )
    parser.add_argument("--float32", action="store_true", help="write float32 graphs instead of 8-bit ones")
    options = parser.parse_args()
    if options.again is None and options.encoder is None:
        parser.error("give --encoder, or --again for a reranker that was exported before")
    model, tokenizer, step, ranges = _model(options)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with torch.no_grad():
        model.comparison.out.weight *= options.comparison
    model, tokenizer = trim_vocabulary(trim_positions(model, POSITIONS), tokenizer, readable_rows(tokenizer))
    mined = (one for one in read_lists(options.lists) if one.teachers)  # passages as long as people's
    lists = list(islice(mined, 200))
    settings = {"window": WINDOW, "num_labels": 1, "training_step": step}
    parity = export(
        model, tokenizer, lists, options.out, settings=settings, ranges=ranges, float32=options.float32
    )
    print(json.dumps(asdict(parity)))  # noqa: T201 -- the recipe's report


if __name__ == "__main__":
    main()
