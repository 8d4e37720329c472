"""Which rows a table has: the teacher's vocabulary without what no text can produce, plus own words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from retriever.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The rows of a static table.

    :param tokenizer: turns texts into row numbers; adds no special tokens.
    :param teacher_ids: for each row the teacher's token ids that stand for it, without special tokens;
        empty for padding and unknown, which have no meaning of their own.
    """

    tokenizer: Tokenizer
    teacher_ids: list[list[int]]

    def __len__(self) -> int:
        return len(self.teacher_ids)


def build_vocabulary(tokenizer: Tokenizer, *, words: Sequence[str] = ()) -> Vocabulary:
    """Clean a teacher's vocabulary and add words to it.

    For WordPiece the special and unused tokens go, and so do tokens that normalization or pre-tokenization
    make unreachable (a capital in an uncased vocabulary, the continuation of a character that always
    stands alone). Other tokenizers keep their rows: dropping one would change how the others are split.

    :param tokenizer: the teacher's.
    :param words: own words, each one word to the pre-tokenizer; known ones are skipped.
    :return: the vocabulary; own words come last.
    :raises InvalidInputError: if a word cannot be a row.
    """
    state: dict[str, Any] = json.loads(tokenizer.to_str())
    state |= {"truncation": None, "padding": None, "post_processor": None}
    if state["model"]["type"] != "WordPiece":
        if words:
            raise InvalidInputError(
                f"own words need a WordPiece teacher; this one's tokenizer is {state['model']['type']}"
            )
        special = {token["id"] for token in state["added_tokens"] if token["special"]}
        size = tokenizer.get_vocab_size()
        return Vocabulary(_rebuild(state), [[] if row in special else [row] for row in range(size)])
    return _wordpiece(tokenizer, state, words)


def _wordpiece(tokenizer: Tokenizer, state: dict[str, Any], words: Sequence[str]) -> Vocabulary:
    """Clean a WordPiece vocabulary and add words to it."""
    model = state["model"]
    old: dict[str, int] = model["vocab"]
    unknown = model["unk_token"]
    special = {token["content"] for token in state["added_tokens"]} | {unknown}
    padding = next((token for token in ("[PAD]", "<pad>") if token in old), None)
    kept: dict[str, list[int]] = {token: [] for token in (padding, unknown) if token is not None}
    for token in sorted(old, key=lambda token: old[token]):
        if token not in special and _reachable(tokenizer, token, model["continuing_subword_prefix"]):
            kept[token] = [old[token]]
    for word in words:
        normal = _as_row(tokenizer, word)
        if normal not in kept:
            kept[normal] = tokenizer.encode(normal, add_special_tokens=False).ids
    model["vocab"] = {token: row for row, token in enumerate(kept)}
    state["added_tokens"] = [
        token | {"id": model["vocab"][token["content"]]}
        for token in state["added_tokens"]
        if token["content"] in kept
    ]
    return Vocabulary(_rebuild(state), list(kept.values()))


def _rebuild(state: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(state))


def _pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    """Normalize and pre-tokenize a text."""
    if tokenizer.normalizer is not None:
        text = tokenizer.normalizer.normalize_str(text)
    return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def _reachable(tokenizer: Tokenizer, token: str, prefix: str) -> bool:
    """Return whether any text can produce this token."""
    if token.startswith("[unused"):
        return False
    continuation = token.startswith(prefix) and len(token) > len(prefix)
    # A continuation is tried behind a letter: a character that always stands alone splits there.
    text = "a" + token[len(prefix) :] if continuation else token
    return _pieces(tokenizer, text) == [text]


def _as_row(tokenizer: Tokenizer, word: str) -> str:
    """Return the form in which a word would be a row."""
    pieces = _pieces(tokenizer, word)
    if len(pieces) != 1:
        raise InvalidInputError(
            f"{word!r} cannot be a row of the table: the tokenizer splits it into {pieces}; give single words"
        )
    return pieces[0]
