import numpy as np
import pytest

from retriever.errors import CorruptCollectionError
from retriever.index.engines import load_engine, make_engine
from retriever.index.fast_scan import leading_dimensions

WIDTH, COUNT = 32, 2000
ENGINES = ["flat", "fp16", "sq8", "refined", "ivf", "hnsw", "funnel"]
LEAST = {"flat": 1.0, "fp16": 0.99, "sq8": 0.95, "ivf": 0.99, "hnsw": 0.95, "refined": 0.9, "funnel": 0.9}


@pytest.fixture(autouse=True)
def _everything_is_wide(monkeypatch):
    monkeypatch.setattr("retriever.index.refined._NARROW", 10)


def unit(count, seed):
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


VECTORS = unit(COUNT, 0)
QUERIES = VECTORS[:10] + 0.1 * unit(10, 1)


def encode(pids):
    return VECTORS[pids - 1]


def made(name):
    index = make_engine(name, WIDTH, sample=VECTORS, passages=COUNT, encode=encode)
    index.add(np.arange(1, 1501), VECTORS[:1500])
    index.add(np.arange(1501, COUNT + 1), VECTORS[1500:])
    if name == "ivf":
        index.tune({"nprobe": index.cells})
    return index


def recall(index, k=20, gone=(), allowed=None):
    """Share of the exact nearest found; also checks that nothing else is, and that there are k."""
    exact = QUERIES @ VECTORS.T
    there = np.ones(COUNT, dtype=bool)
    if allowed is not None:
        there[:] = False
        there[np.asarray(allowed) - 1] = True
    there[np.asarray(gone, dtype=int) - 1] = False
    exact[:, ~there] = -2
    k_there = min(k, int(there.sum()))
    wanted = np.argsort(-exact, axis=1)[:, :k_there] + 1
    hits = 0
    for row, (pids, similarities) in zip(wanted, index.search(QUERIES, k, allowed=allowed), strict=True):
        assert len(pids) == len(set(pids.tolist())) == k_there
        assert there[pids - 1].all()
        assert (np.diff(similarities) <= 1e-6).all()
        hits += len(set(row.tolist()) & set(pids.tolist()))
    return hits / wanted.size


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_finds_filters_forgets_and_survives_its_file(name, tmp_path):
    index = made(name)
    assert index.name == name and len(index) == COUNT
    assert recall(index) >= LEAST[name]
    index.remove(np.asarray([3, 4, 5, 100_000]))
    index.add(np.asarray([7, 8]), VECTORS[6:8])  # there already
    gone = [3, 4, 5]
    assert len(index) == COUNT - 3
    assert recall(index, gone=gone) >= LEAST[name]
    wide, narrow = np.arange(1, 1001), np.asarray([5, 9, 11, 1999])
    assert recall(index, gone=gone, allowed=wide) >= LEAST[name]
    assert recall(index, gone=gone, allowed=narrow) == 1.0
    index.save(tmp_path / "index")
    again = load_engine(name, tmp_path / "index", WIDTH, settings=index.settings(), encode=encode)
    assert again.settings() == index.settings()
    assert recall(again, gone=gone) >= LEAST[name]
    again.remove(np.arange(1, 1200))  # more than a quarter: written anew
    assert recall(again, gone=np.arange(1, 1200)) >= LEAST[name]
    assert len(again) == sum(len(pids) for pids, _ in again.vectors(batch=300)) == COUNT - 1199
    again.compact()
    kept = again.vectors_of(np.asarray([1500, 1501]))
    assert np.abs((kept - VECTORS[1499:1501]) @ QUERIES[0]).max() < 0.01
    assert again.vectors_of(np.empty(0, dtype=np.int64)).shape == (0, WIDTH)


@pytest.mark.parametrize("name", ENGINES)
def test_a_loaded_engine_grows(name, tmp_path):
    index = make_engine(name, WIDTH, sample=VECTORS, passages=COUNT, encode=encode)
    index.add(np.arange(1, 1001), VECTORS[:1000])
    index.save(tmp_path / "index")
    again = load_engine(name, tmp_path / "index", WIDTH, settings=index.settings(), encode=encode)
    again.add(np.arange(1001, COUNT + 1), VECTORS[1000:])
    if name == "ivf":
        again.tune({"nprobe": 64})
    assert recall(again) >= LEAST[name]


@pytest.mark.parametrize("name", ENGINES)
def test_an_empty_engine_and_nothing_to_find(name):
    index = make_engine(name, WIDTH, sample=VECTORS, passages=0, encode=encode)
    assert index.search(QUERIES[:2], 5)[1][0].tolist() == []
    index.remove(np.asarray([1]))
    index.add(np.asarray([4]), VECTORS[3:4])
    assert index.search(QUERIES[:1], 5)[0][0].tolist() == [4]
    assert index.search(QUERIES[:1], 5, allowed=np.asarray([], dtype=np.int64))[0][0].tolist() == []
    assert index.search(QUERIES[:1], 5, allowed=np.asarray([1]))[0][0].tolist() == []


@pytest.mark.parametrize("name", ENGINES)
def test_a_file_of_another_width_is_refused(name, tmp_path):
    made("flat").save(tmp_path / "index")
    settings = {"leading": 16, "rescored": 200} if name in ("refined", "funnel") else {}
    with pytest.raises(CorruptCollectionError, match="is no .* index of 64 dimensions"):
        load_engine(name, tmp_path / "index", 64, settings=settings, encode=encode)


def test_a_narrow_filter_is_answered_exactly_by_the_refined_index(monkeypatch):
    index = made("refined")
    index.tune({"rescored": 1})
    allowed = np.arange(1, 500)
    assert recall(index, allowed=allowed) < 0.9
    monkeypatch.setattr("retriever.index.refined._NARROW", 500)
    assert recall(index, allowed=allowed.copy()) >= 0.98
    index.remove(np.asarray([7]))
    assert recall(index, allowed=allowed.copy(), gone=[7]) >= 0.98


def test_codes_need_some_width():
    assert [leading_dimensions(width) for width in (8, 16, 31, 256, 1024)] == [0, 16, 24, 256, 256]
