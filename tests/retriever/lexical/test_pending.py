import numpy as np
import pytest

from retriever.lexical.bm25_index import BM25Index

WORDS = "zebra cat dog storm wind sea paper bird mat stock".split()


def texts(count, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 70))) for _ in range(count)]


def test_what_is_not_committed_is_found_and_scored_alike(tmp_path):
    index = BM25Index(tmp_path / "index")
    index.add(np.arange(1, 1001), texts(1000, 0))
    index.commit()
    index.remove(np.asarray([5, 6]))
    index.add(np.arange(1001, 1021), texts(20, 1))
    index.remove(np.asarray([1003]))
    assert index.visible and index.uncommitted > 0
    before = index.search("zebras in a storm", 1100)
    some = index.score("zebras in a storm", np.arange(990, 1011))
    index.write()
    assert index.search("zebras in a storm", 1100)[0].tolist() == before[0].tolist()
    index.reload()
    after = index.search("zebras in a storm", 1100)
    assert set(after[0].tolist()) == set(before[0].tolist())
    assert {5, 6, 1003}.isdisjoint(before[0].tolist())
    order = [a.argsort() for a in (before[0], after[0])]
    assert before[1][order[0]] == pytest.approx(after[1][order[1]], rel=0.02)
    assert some == pytest.approx(index.score("zebras in a storm", np.arange(990, 1011)), rel=0.02)


def test_many_changes_wait_for_a_commit(tmp_path):
    index = BM25Index(tmp_path / "index")
    index.add(np.arange(1, 3001), texts(3000, 0))
    assert not index.visible
    index.commit()
    assert index.visible and len(index) == 3000


@pytest.mark.parametrize("share", [1, 2, 20, 700])
def test_a_filter_gives_the_best_of_what_it_allows(tmp_path, share):
    index = BM25Index()
    index.add(np.arange(1, 3001), texts(3000, 0))
    index.commit()
    allowed = np.arange(1, 3001)[::share]
    everything = dict(zip(*[a.tolist() for a in index.search("zebra storm", 3000)], strict=True))
    wanted = sorted(
        (pid for pid in everything if (pid - 1) % share == 0), key=lambda pid: (-everything[pid], pid)
    )
    found, scores = index.search("zebra storm", 10, allowed=allowed)
    assert scores.tolist() == pytest.approx([everything[pid] for pid in wanted[:10]], rel=1e-5)
    assert ((found - 1) % share == 0).all()
