"""Small rerankers made of seeded random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = (
    "red green blue cat dog bird runs sleeps sings fast slow old new house river the a of in on 1 2 3".split()
)
SHAPE = {
    "layers": 3, "join": 1, "hidden": 32, "heads": 4, "intermediate": 64,
    "vocabulary": 0, "positions": 128, "head": 16,
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
    hidden, inner = shape["hidden"], shape["intermediate"]

    def draw(*size: int, spread: float = 0.3) -> np.ndarray:
        return (rng.standard_normal(size) * spread).astype(np.float32)

    made = {
        "words.weight": draw(shape["vocabulary"], hidden, spread=1.0),
        "positions.weight": draw(shape["positions"], hidden),
        "segments": draw(2, hidden),
        "term_weight.weight": draw(1, hidden),
        "term_weight.bias": draw(1),
        "head_in.weight": draw(shape["head"], 4 * hidden),
        "head_in.bias": draw(shape["head"]),
        "head_out.weight": draw(1, shape["head"], spread=1.0),
        "head_out.bias": draw(1),
        "cosine_scale": np.float32(5.0),
        "match_scale": np.float32(2.0),
    }
    places = ["lower.0", "upper.0", "upper.1"]
    sizes = {
        "attention_in": (3 * hidden, hidden),
        "attention_out": (hidden, hidden),
        "up": (inner, hidden),
        "down": (hidden, inner),
    }
    for place in places:
        for name, size in sizes.items():
            made[f"{place}.{name}.weight"] = draw(*size)
            made[f"{place}.{name}.bias"] = draw(size[0])
    for norm in [
        "embedding_norm",
        *(f"{place}.{name}" for place in places for name in ("attention_norm", "norm")),
    ]:
        made[f"{norm}.weight"] = np.ones(hidden, np.float32)
        made[f"{norm}.bias"] = np.zeros(hidden, np.float32)
    return made, shape


def reranker_folder(folder: Path, *, int8: bool = True, **config: object) -> Path:
    """Write a tiny reranker; needs onnx."""
    import onnx

    from rerank.train.graph import Range, write_graphs

    made, shape = weights()
    products = [
        name.removesuffix(".weight")
        for name in made
        if name.startswith(("lower", "upper")) and "norm" not in name
    ]
    ranges = {name: Range(-4.0, 4.0) for name in products if not name.endswith(".bias")}
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
