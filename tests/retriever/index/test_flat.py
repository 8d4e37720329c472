import numpy as np
import pytest

from retriever.errors import CorruptCollectionError
from retriever.index.flat import FlatIndex


def unit(n, d=8, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def filled(n=50):
    index = FlatIndex(8)
    index.add(np.arange(100, 100 + n), unit(n))
    return index


def test_it_finds_what_a_plain_product_finds():
    index, vectors, queries = filled(), unit(50), unit(3, seed=1)
    for query, (pids, scores) in zip(queries, index.search(queries, 5), strict=True):
        expected = np.argsort(-(vectors @ query))[:5]
        assert pids.tolist() == (expected + 100).tolist()
        np.testing.assert_allclose(scores, (vectors @ query)[expected], rtol=1e-5)
        np.testing.assert_allclose(index.vectors_of(pids) @ query, scores, rtol=1e-5)


def test_filters_are_inside_so_k_results_come_back():
    index = filled()
    allowed = np.array([103, 120, 149])
    ((pids, _),) = index.search(unit(1, seed=1), 3, allowed=allowed)
    assert sorted(pids.tolist()) == allowed.tolist()
    assert len(index.search(unit(1), 50, allowed=allowed)[0][0]) == 3
    assert len(index.search(unit(1), 5, allowed=allowed[:0])[0][0]) == 0


def test_allowed_ids_that_do_not_exist_are_no_results():
    ((pids, _),) = filled().search(unit(1), 5, allowed=np.array([103, 900, 901]))
    assert pids.tolist() == [103]


def test_k_above_the_size_and_the_empty_index():
    assert len(filled(3).search(unit(1), 10)[0][0]) == 3
    assert len(FlatIndex(8).search(unit(2), 10)[1][0]) == 0
    assert FlatIndex(8).search(unit(0), 10) == []


def test_removed_vectors_are_gone():
    index = filled()
    index.remove(np.array([100, 149, 7]))
    index.remove(np.array([], dtype=np.int64))
    assert len(index) == 48
    ((pids, _),) = index.search(unit(1), 50)
    assert {100, 149}.isdisjoint(pids.tolist())


def test_it_comes_back_from_disk(tmp_path):
    filled().save(tmp_path / "v.faiss")
    loaded = FlatIndex.load(tmp_path / "v.faiss", 8)
    queries = unit(2, seed=3)
    for (a, _), (b, _) in zip(loaded.search(queries, 9), filled().search(queries, 9), strict=True):
        assert a.tolist() == b.tolist()


def test_other_files_are_refused(tmp_path):
    filled().save(tmp_path / "v.faiss")
    with pytest.raises(CorruptCollectionError, match="no flat index of 16 dimensions"):
        FlatIndex.load(tmp_path / "v.faiss", 16)
    (tmp_path / "w.faiss").write_bytes((tmp_path / "v.faiss").read_bytes()[:100])
    with pytest.raises(CorruptCollectionError, match="w.faiss cannot be read"):
        FlatIndex.load(tmp_path / "w.faiss", 8)
