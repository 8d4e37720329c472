"""Small rerankers made of seeded random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

if TYPE_CHECKING:
    from rerank.train.loop import TrainingLoop
    from rerank.train.model import CrossEncoderModel

WORDS = (
    "red green blue cat dog bird runs sleeps sings fast slow old new house river the a of in on 1 2 3".split()
)
SHAPE = {
    "layers": 3, "compared": 2, "hidden": 32, "heads": 4, "intermediate": 64,
    "vocabulary": 0, "positions": 128, "view": 16, "blocks": 1,
}  # fmt: skip


def tokenizer() -> Tokenizer:
    """A WordPiece tokenizer over a few words and all small letters."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = [chr(c) for c in range(97, 123)]
    tokens = [*special, *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {token: row for row, token in enumerate(dict.fromkeys(tokens))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(special)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def weights(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Seeded weights of a tiny late-crossing cross-encoder."""
    rng = np.random.default_rng(seed)
    shape = SHAPE | {"vocabulary": tokenizer().get_vocab_size()}
    hidden, inner, view = shape["hidden"], shape["intermediate"], shape["view"]

    def draw(*size: int, spread: float = 0.3) -> np.ndarray:
        return (rng.standard_normal(size) * spread).astype(np.float32)

    made = {
        "words.weight": draw(shape["vocabulary"], hidden, spread=1.0),
        "positions.weight": draw(shape["positions"], hidden),
        "comparison.out.weight": draw(1, 2 * view, spread=0.05),
        "comparison.alignment_scale": np.float32(10.0),
        "cosine_scale": np.float32(5.0),
        "match_scale": np.float32(2.0),
    }
    places = [f"layers.{number}" for number in range(shape["layers"])]
    linear = {"comparison.view": (view, 2 * hidden), "comparison.compare": (view, 4 * view)}
    for place in places:
        linear |= {
            f"{place}.attention_in": (3 * hidden, hidden),
            f"{place}.attention_out": (hidden, hidden),
            f"{place}.up": (inner, hidden),
            f"{place}.down": (hidden, inner),
        }
    block = "comparison.blocks.0"
    linear |= {
        f"{block}.{kind}.{part}": (view, view)
        for kind in ("own", "other")
        for part in ("query", "key", "value", "out")
    }
    linear |= {f"{block}.up": (2 * view, view), f"{block}.down": (view, 2 * view)}
    for name, size in linear.items():
        made[f"{name}.weight"] = draw(*size)
        made[f"{name}.bias"] = draw(size[0])
    norms = {"embedding_norm": hidden, "comparison.norm": view}
    norms |= {f"{place}.{name}": hidden for place in places for name in ("attention_norm", "norm")}
    norms |= {f"{block}.{name}": view for name in ("own_norm", "other_norm", "inner_norm")}
    for name, width in norms.items():
        made[f"{name}.weight"] = np.ones(width, np.float32)
        made[f"{name}.bias"] = np.zeros(width, np.float32)
    return made, shape


def reranker_folder(folder: Path, *, int8: bool = True, **config: object) -> Path:
    """Write a tiny reranker; needs onnx."""
    import onnx

    from rerank.train.graph import QUANTIZED, Range, write_graphs

    made, shape = weights()
    products = [
        name.removesuffix(".weight") for name in made if QUANTIZED.fullmatch(name.removesuffix(".weight"))
    ]
    ranges = {name: Range(-4.0, 4.0) for name in products}
    folder.mkdir(parents=True, exist_ok=True)
    reader, scorer = write_graphs(made, shape, ranges if int8 else None)
    onnx.save(reader, folder / "model.onnx")
    onnx.save(scorer, folder / "scorer.onnx")
    tokenizer().save(str(folder / "tokenizer.json"))
    settings = {"format": "late-crossing", "architecture": shape, "window": 64, "num_labels": 1} | config
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def sentence(rng: np.random.Generator, length: int) -> str:
    """Words, drawn."""
    return " ".join(rng.choice(WORDS, size=length))


def plain(text: str) -> str:
    """A sentence without what it may be written with or without: capitals and the mark at its end."""
    return text.lower().rstrip(".?")


def model(seed: int = 0) -> CrossEncoderModel:
    """The same weights as a model that can be trained."""
    import torch

    from rerank.train.model import Architecture, CrossEncoderModel

    made, shape = weights(seed)
    built = CrossEncoderModel(Architecture(**shape))
    built.load_state_dict({name: torch.tensor(value) for name, value in made.items()})
    return built


class Killed(Exception):
    """Stands for whatever ends a training."""


def killed_at(step: int) -> Callable[[int, float], None]:
    """Return a `progress` that ends a training after a step."""

    def kill(done: int, _: float) -> None:
        if done == step:
            raise Killed

    return kill


def check_resumes(trainer: Callable[[Path], TrainingLoop[Any]], folder: Path, *, cut: int, last: int) -> None:
    """Check that a training killed after step `cut` comes to the same weights as one that was not."""
    import torch

    from rerank.train.checkpoint import read_checkpoint

    whole = trainer(folder / "whole")
    whole.run()
    with pytest.raises(Killed):
        trainer(folder / "cut").run(killed_at(cut))
    resumed = trainer(folder / "cut")
    resumed.run()
    assert read_checkpoint(folder / "cut")[2]["step"] == last
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


class Letters:
    """A sentence encoder that counts letters."""

    tokenizer = SimpleNamespace(get_vocab=dict)
    max_seq_length = 512

    def __init__(self, read: list[str]) -> None:
        self.read = read

    def to(self, _: object) -> Letters:
        return self

    def state_dict(self) -> dict[str, Any]:
        return {}

    def encode(self, texts: list[str], **_: object) -> Any:
        import torch

        self.read += [text for text in texts if text]
        return torch.tensor([[1.0, *map(text.count, "abcdefgh")] for text in texts])
