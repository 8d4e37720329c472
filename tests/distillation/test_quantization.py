import numpy as np
import pytest

from distillation.quantization import quantize
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError
from tests.distillation.factories import WORDS, encoder

TEXTS = [" ".join(WORDS[start : start + 4]) for start in range(0, 120, 4)]


def similarity(one, two):
    return float((one.encode(TEXTS) * two.encode(TEXTS)).sum(axis=1).min())


def test_bytes_are_nearly_the_same(tmp_path):
    whole = encoder()
    small = quantize(whole)
    assert similarity(whole, small) > 0.999
    small.save(tmp_path / "small")
    assert similarity(small, StaticEncoder.load(tmp_path / "small")) > 0.999999
    sizes = []
    for name, model in (("small", small), ("whole", whole)):
        model.save(tmp_path / name)
        sizes.append((tmp_path / name / "model.safetensors").stat().st_size)
    assert sizes[0] < 0.45 * sizes[1]


@pytest.mark.parametrize("int8", [True, False])
def test_shared_rows_keep_what_they_can(int8):
    whole = encoder()
    tokens = whole.tokenizer.get_vocab_size()
    all_of_them, many, few = (quantize(whole, rows=rows, int8=int8) for rows in (tokens, tokens - 10, 20))
    assert similarity(whole, all_of_them) > 0.99
    assert similarity(whole, many) > 0.9
    assert similarity(whole, few) < similarity(whole, many)


@pytest.mark.parametrize("rows", [0, 10_000])
def test_an_impossible_number_of_rows_is_named(rows):
    with pytest.raises(InvalidInputError, match=f"between 1 and the table's .*not {rows}"):
        quantize(encoder(), rows=rows)


def test_float_is_left_as_it_is():
    whole = encoder()
    np.testing.assert_array_equal(quantize(whole, int8=False).encode(TEXTS), whole.encode(TEXTS))
