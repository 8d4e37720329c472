"""Small tokenizers of each family, trained in a moment, and tables for them."""

from __future__ import annotations

from functools import cache

import numpy as np
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from retriever.encoder import StaticEncoder

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind at all.",
    "Retrieval finds passages; a cross-encoder reranks the short list (of 50 candidates).",
    "Où est passé l'été à Besançon? Ça n'a pas d'importance: les élèves étaient là.",
    "Über die Straße gehen müßige Bären; größere Mäuse überqueren Brücken.",
    "信息检索是查找文档的科学。东京は日本の首都です。한국어 문장도 있습니다.",
    "Быстрая коричневая лиса прыгает через ленивую собаку.",
    "हिन्दी में एक वाक्य और दूसरा वाक्य। ภาษาไทยเป็นภาษาที่สวยงาม",
    "e = m*c^2; x[0] += foo_bar(1.5e-3) # <tag attr='1'> 100% & more @home",
    "naïve café coöperate résumé — “quoted” words… and 3½ cups",
]


@cache
def word_piece(*, lowercase: bool = True, strip_accents: bool | None = None) -> Tokenizer:
    """BERT's tokenizer: cased or not, with and without accents."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    return tokenizer


@cache
def unigram() -> Tokenizer:
    """A sentencepiece-like tokenizer."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.UnigramTrainer(
            vocab_size=300, unk_token="<unk>", special_tokens=["<s>", "</s>", "<unk>"], show_progress=False
        ),
    )
    return tokenizer


@cache
def byte_level_bpe(*, add_prefix_space: bool = False) -> Tokenizer:
    """GPT-2's tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def copied(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer that a test may change."""
    return Tokenizer.from_str(tokenizer.to_str())


def renormalized(tokenizer: Tokenizer, normalizer: normalizers.Normalizer | None) -> Tokenizer:
    """A copy with another normalizer."""
    changed = copied(tokenizer)
    changed.normalizer = normalizer
    return changed


def with_added(tokenizer: Tokenizer, *tokens: AddedToken) -> Tokenizer:
    """A copy with added tokens."""
    changed = copied(tokenizer)
    changed.add_tokens(list(tokens))
    return changed


def random_table(tokenizer: Tokenizer, dimensions: int = 48, seed: int = 0) -> np.ndarray:
    """A seeded table with a row for each token."""
    rows = tokenizer.get_vocab_size(with_added_tokens=True)
    return np.random.default_rng(seed).standard_normal((rows, dimensions), dtype=np.float32)


def make_encoder(tokenizer: Tokenizer | None = None, *, dimensions: int = 48, **options) -> StaticEncoder:
    """An encoder with seeded random rows."""
    tokenizer = tokenizer or word_piece()
    return StaticEncoder(random_table(tokenizer, dimensions), tokenizer, **options)
