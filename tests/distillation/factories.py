"""Small models and texts, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from distillation.sources import Pair
from retriever.encoder import StaticEncoder

WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in ("l", "m", "n", "r", "st")]
SPECIAL = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer(*, extra: tuple[str, ...] = ()) -> Tokenizer:
    """An uncased WordPiece tokenizer of 125 words, letters and continuations."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *WORDS, *extra]
    vocabulary = {token: row for row, token in enumerate(dict.fromkeys(tokens))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens([token for token in SPECIAL if token != "[unused0]"])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return made


def teacher_folder(folder: Path, *, pooling: str = "mean", extra: tuple[str, ...] = ()) -> Path:
    """A BERT of two layers and 32 dimensions with random weights, in sentence-transformers' layout."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    words = tokenizer(extra=extra)
    config = BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    (folder / "1_Pooling").mkdir()
    declared = {"pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_cls_token": pooling == "first"}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(declared), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 48}', encoding="utf-8")
    return folder


def encoder(*, dimensions: int = 16, seed: int = 0) -> StaticEncoder:
    """An encoder with a random table."""
    words = tokenizer()
    words.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    table = np.random.default_rng(seed).standard_normal((words.get_vocab_size(), dimensions))
    return StaticEncoder(table.astype(np.float32), words)


def pairs(count: int, *, seed: int = 0, sources: tuple[str, ...] = ("a", "b")) -> list[Pair]:
    """Pairs whose passage repeats one word of the query's topic among others of its own."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(count):
        topic = generator.choice(WORDS, 3)
        query = " ".join(topic[:2])
        passage = " ".join([topic[1], topic[2], *generator.choice(WORDS, 5)])
        made.append(Pair(query, passage, sources[number % len(sources)]))
    return made
