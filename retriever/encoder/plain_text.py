"""Which tokenizers work word by word, so that a word's token ids can be remembered, and where words end.

The proof rests on the parts of the tokenizer. BERT's pre-tokenizer cuts at white space and around every
punctuation mark. The normalizers accepted here change each character by itself; the one thing that looks
further, canonical ordering, moves combining marks only, never over a space or a mark of punctuation. So a
text cut there and tokenized piece by piece gives the ids of the whole, with one exception: an added token
(`[CLS]`) is found before all that, and may have punctuation in it. Texts with such a literal in them are
left to the tokenizer. So is everything where a part of the tokenizer is not known here.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, models

# A character stays in its word, is a word by itself, parts words, or stays and is a letter: it always leaves
# something of itself in the word, and what it leaves does not depend on its neighbours.
JOINED, APART, SPACE, LETTER = 0, 1, 2, 3

_CHARACTERWISE = {"Lowercase", "NFD", "StripAccents"}
_ASCII_SPACE = frozenset(" \t\n\r")
_ASCII_MARKS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
# Where letters, marks and spaces of written text lie that are worth telling apart; elsewhere a run of
# characters is one word to remember, which is as right and only less often met again.
_EXAMINED = (
    (0x30, 0x3A),
    (0x41, 0x5B),
    (0x61, 0x7B),
    (0x80, 0x250),  # Latin
    (0x370, 0x700),  # Greek, Cyrillic, Armenian, Hebrew, Arabic
    (0x900, 0x1000),  # the scripts of India, Thai, Lao, Tibetan
    (0x1E00, 0x1F00),  # Latin of Vietnam and others
    (0x2000, 0x2070),  # punctuation
    (0x20A0, 0x20D0),
    (0x3000, 0x3100),  # East Asian punctuation, kana
    (0xFF00, 0xFFF0),
)
_IDEOGRAPHS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00))  # BertNormalizer sets these apart


# By normalizer and pre-tokenizer: a handful of kinds are in use, and to ask takes as long as 700 passages.
_known_behaviour: dict[tuple[str, bytes], tuple[NDArray[np.uint8], dict[str, str]]] = {}


class Rules(NamedTuple):
    """Where the words of a text end, as the kernels read it.

    :param behaviour: uint8, shape (65536,): JOINED, APART, SPACE or LETTER for each character.
    :param triggers: bool, shape (256,): punctuation that begins an added token.
    :param literals: uint8: the added tokens that begin with punctuation, one after another.
    :param literal_starts: int64, shape (literals + 1,): where each begins.
    """

    behaviour: NDArray[np.uint8]
    triggers: NDArray[np.bool_]
    literals: NDArray[np.uint8]
    literal_starts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WordPieces:
    """What it takes to cut a word of letters as the tokenizer's model does.

    :param vocabulary: token to id.
    :param prefix: what pieces inside a word begin with in the vocabulary.
    :param longest: characters; a longer word is unknown as a whole.
    :param folded: what the normalizer makes of each LETTER, and "" of what always vanishes.
    """

    vocabulary: dict[str, int]
    prefix: str
    longest: int
    folded: dict[str, str]


def find_rules(tokenizer: Tokenizer, vocabulary: dict[str, int]) -> tuple[Rules, WordPieces | None] | None:
    """Return how the tokenizer's words can be told apart, or None where only the tokenizer can tell.

    :param tokenizer: any tokenizer.
    :param vocabulary: of its model; to ask for it takes as long as to encode a thousand passages.
    :return: rules, and where the model is WordPiece what its words are cut by.
    """
    normalizers = _chain(_config(tokenizer.normalizer), "normalizers")
    pre_tokenizers = _chain(_config(tokenizer.pre_tokenizer), "pretokenizers")
    if [part["type"] for part in pre_tokenizers] != ["BertPreTokenizer"]:
        return None
    if any(part["type"] not in _CHARACTERWISE | {"BertNormalizer"} for part in normalizers):
        return None
    if getattr(tokenizer.model, "dropout", None):
        return None
    behaviour, folded = _behaviour(tokenizer, normalizers)
    literals: list[bytes] = []
    added = tokenizer.get_added_tokens_decoder().values()
    for token in added:
        if not _stays_inside(token, behaviour):
            if not _is_literal(token):
                return None
            literals.append(token.content.encode())
    word_pieces = _word_pieces(tokenizer, vocabulary, folded) if len(literals) == len(added) else None
    return _as_arrays(behaviour, literals), word_pieces


def _config(part: Any) -> dict[str, Any] | None:
    """Return the configuration of a part of a tokenizer."""
    return None if part is None else dict(json.loads(part.__getstate__()))


def _chain(part: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    """Return the steps of a normalizer or pre-tokenizer."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [step for item in part[inner] for step in _chain(item, inner)]
    return [part]


def _behaviour(
    tokenizer: Tokenizer, normalizers: list[dict[str, Any]]
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Return what each character does between two letters, and what becomes of letters; found out once."""
    key = json.dumps(normalizers), tokenizer.pre_tokenizer.__getstate__()
    if key not in _known_behaviour:
        _known_behaviour[key] = _examine(tokenizer, normalizers)
    return _known_behaviour[key]


def _examine(
    tokenizer: Tokenizer, normalizers: list[dict[str, Any]]
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Ask the tokenizer what each character does between two letters, and what it makes of letters."""
    table, folded = np.full(65536, JOINED, dtype=np.uint8), {}
    if any(part.get("handle_chinese_chars") for part in normalizers):
        for first, last in _IDEOGRAPHS:
            table[first:last] = APART
    characters = [chr(code) for first, last in _EXAMINED for code in range(first, last)]
    pieces = _pieces_between_letters(tokenizer, characters)
    for character, parts in zip(characters, pieces, strict=True):
        if parts == ["x", "x"]:
            table[ord(character)] = SPACE
        elif len(parts) == 3 and parts[0] == parts[2] == "x":
            table[ord(character)] = APART
        elif len(parts) == 1 and len(parts[0]) > 2 and not unicodedata.combining(parts[0][1]):
            table[ord(character)] = LETTER
            folded[character] = parts[0][1:-1]
        elif parts == ["xx"]:
            folded[character] = ""
    return table, folded


def _pieces_between_letters(tokenizer: Tokenizer, characters: list[str]) -> list[list[str]]:
    """Return what the tokenizer's normalizer and pre-tokenizer make of each character between two x."""
    text = " q ".join(f"x{character}x" for character in characters)
    if tokenizer.normalizer is not None:
        text = tokenizer.normalizer.normalize_str(text)
    pieces: list[list[str]] = [[]]
    for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
        if piece == "q":
            pieces.append([])
        else:
            pieces[-1].append(piece)
    return pieces


def _stays_inside(token: AddedToken, behaviour: NDArray[np.uint8]) -> bool:
    """Tell whether an added token can only lie within one word, where the tokenizer sees it."""
    if token.single_word:  # it looks at its neighbours, and an underscore would be cut off
        return False
    return not any(
        character in _ASCII_SPACE
        or character in _ASCII_MARKS
        or _kind(character, behaviour) in (APART, SPACE)
        for character in token.content
    )


def _is_literal(token: AddedToken) -> bool:
    """Tell whether an added token can be recognised in the bytes of a text by the mark it begins with."""
    content = token.content
    if token.single_word or token.normalized or _ASCII_SPACE.intersection(content):
        return False
    # Were the mark further in, a text might be cut before it is seen.
    return content[0] in _ASCII_MARKS


def _kind(character: str, behaviour: NDArray[np.uint8]) -> int:
    """Return what a character does to its neighbours."""
    code = ord(character)
    return int(behaviour[code]) if 0x80 <= code < 0x10000 else JOINED


def _as_arrays(behaviour: NDArray[np.uint8], literals: list[bytes]) -> Rules:
    """Lay the literals out for the kernels."""
    triggers = np.zeros(256, dtype=np.bool_)
    triggers[[literal[0] for literal in literals]] = True
    return Rules(
        behaviour=behaviour,
        triggers=triggers,
        literals=np.frombuffer(bytearray(b"".join(literals) + b"\0"), dtype=np.uint8),
        literal_starts=np.cumsum([0, *map(len, literals)], dtype=np.int64),
    )


def _word_pieces(
    tokenizer: Tokenizer, vocabulary: dict[str, int], folded: dict[str, str]
) -> WordPieces | None:
    """Return what cuts words of letters, or None where the tokenizer must be asked."""
    model = tokenizer.model
    if not isinstance(model, models.WordPiece) or model.unk_token not in vocabulary:
        return None
    return WordPieces(vocabulary, model.continuing_subword_prefix, model.max_input_chars_per_word, folded)
