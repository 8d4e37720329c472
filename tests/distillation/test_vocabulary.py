import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from distillation.vocabulary import build_vocabulary
from retriever.errors import InvalidInputError
from tests.distillation.factories import WORDS, tokenizer


def rows(vocabulary):
    tokens = vocabulary.tokenizer.get_vocab()
    return sorted(tokens, key=lambda token: tokens[token])


def test_what_no_text_can_produce_goes():
    vocabulary = build_vocabulary(tokenizer(extra=("Capital", "##漢", "two words", "漢")))
    kept = rows(vocabulary)
    assert kept[:2] == ["[PAD]", "[UNK]"]
    assert not {"[CLS]", "[SEP]", "[MASK]", "[unused0]", "Capital", "##漢", "two words"} & set(kept)
    assert {"漢", "a", "##a", *WORDS} <= set(kept)
    assert len(vocabulary) == len(kept) == len(set(kept))


def test_texts_are_split_as_before():
    old, new = tokenizer(), build_vocabulary(tokenizer()).tokenizer
    for text in ("bal don", "BALX, gest!", "unbal € 漢"):
        assert new.encode(text).tokens == old.encode(text, add_special_tokens=False).tokens


def test_rows_remember_the_teachers_tokens():
    old = tokenizer()
    vocabulary = build_vocabulary(old, words=["Balbem", "bal"])
    kept = rows(vocabulary)
    assert vocabulary.teacher_ids[kept.index("bal")] == [old.token_to_id("bal")]
    assert kept[-1] == "balbem"
    expected = old.encode("balbem", add_special_tokens=False).ids
    assert vocabulary.teacher_ids[-1] == expected
    assert vocabulary.tokenizer.encode("a balbem").tokens == ["a", "balbem"]
    assert vocabulary.teacher_ids[0] == vocabulary.teacher_ids[1] == []


def test_a_phrase_cannot_be_a_row():
    with pytest.raises(InvalidInputError, match="'bal bem' cannot be a row.*single words"):
        build_vocabulary(tokenizer(), words=["bal bem"])


def test_other_tokenizers_keep_their_rows():
    pieces = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("a", -1.0)], unk_id=0))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    pieces.add_special_tokens(["<s>"])
    vocabulary = build_vocabulary(pieces)
    assert vocabulary.teacher_ids == [[0], [1], [2], []]
    with pytest.raises(InvalidInputError, match="WordPiece.*Unigram"):
        build_vocabulary(pieces, words=["b"])
