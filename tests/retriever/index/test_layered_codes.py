import faiss
import numpy as np
import pytest

from retriever.index.layered_codes import (
    PARTS,
    LayeredSearch,
    add_vectors,
    best_of,
    bytes_in_codes,
    copy_fitted,
    fit,
    layered_codes,
)

WIDTH, LEADING, COUNT = 48, 32, 3000


def unit(count, seed):
    falling = np.linspace(2, 0.3, WIDTH)
    rows = (np.random.default_rng(seed).standard_normal((count, WIDTH)) * falling).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


VECTORS, QUERIES = unit(COUNT, 0), unit(30, 1)


@pytest.fixture(scope="module")
def layers():
    made, needed = layered_codes(WIDTH, LEADING)
    fit(made, VECTORS)
    for start in range(0, COUNT, 1000):
        add_vectors(made, VECTORS[start : start + 1000])
    return made, needed


def found(made, query, k, selector=None, reachable=COUNT):
    search = LayeredSearch(made)
    question = search.question(query)
    parts = [search.candidates(made, question, part, k, selector, reachable) for part in range(PARTS)]
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def test_the_parts_together_hold_every_vector_once(layers):
    near, places = found(layers[0], QUERIES[0], COUNT)
    assert sorted(places.tolist()) == list(range(COUNT)) and near.dtype == np.float32


def test_fine_codes_tell_what_coarse_ones_blur(layers, monkeypatch):
    def error():
        near, places = found(layers[0], QUERIES[0], COUNT)
        return float(np.abs(near - VECTORS[places] @ QUERIES[0]).mean())

    both = error()
    made, question = LayeredSearch(layers[0]), LayeredSearch.question
    assert made.question(QUERIES[0]).told.shape == (WIDTH // 8, 256)

    def told_nothing(self, query):
        asked = question(self, query)
        asked.told[:] = 0
        return asked

    monkeypatch.setattr(LayeredSearch, "question", told_nothing)
    assert both < 0.7 * error()


def test_candidates_hold_the_nearest(layers):
    hits = 0
    for query in QUERIES:
        near, places = found(layers[0], query, 100)
        nearest = np.argsort(-(VECTORS @ query))[:10]
        hits += len(np.intersect1d(best_of(near, places, 100)[1], nearest))
    assert hits >= 0.9 * 10 * len(QUERIES)


def test_a_selector_lets_only_its_own_through(layers):
    bits = np.zeros(COUNT, dtype=np.bool_)
    bits[5::7] = True
    packed = np.packbits(bits, bitorder="little")
    selector = faiss.IDSelectorBitmap(packed)
    _, places = found(layers[0], QUERIES[0], COUNT, selector, int(bits.sum()))
    assert sorted(places.tolist()) == np.flatnonzero(bits).tolist()


def test_what_was_fitted_is_copied_without_vectors(layers):
    made, _ = layers
    copy, _needed = layered_codes(WIDTH, LEADING)
    copy_fitted(made, copy)
    assert copy.is_trained and copy.ntotal == 0
    add_vectors(copy, VECTORS)
    before, after = (found(each, QUERIES[3], 50) for each in (made, copy))
    assert all((one == other).all() for one, other in zip(before, after, strict=True))


def test_the_bytes_are_those_of_the_codes(layers):
    base, refine = (faiss.downcast_index(each) for each in (layers[0].base_index, layers[0].refine_index))
    coarse, fine = (faiss.downcast_index(each.index) for each in (base, refine))
    assert bytes_in_codes(WIDTH, LEADING) == coarse.code_size + fine.code_size
    assert bytes_in_codes(512, 256) == 80 and bytes_in_codes(256, 256) == 64


@pytest.mark.parametrize("k", [1, 3, 4])
def test_the_best_of_some(k):
    near, places = np.asarray([0.1, 0.9, 0.5], dtype=np.float32), np.asarray([4, 2, 7])
    assert set(best_of(near, places, k)[1].tolist()) == set([2, 7, 4][:k])
