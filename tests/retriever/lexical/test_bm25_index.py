import json
import math
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.errors import CorruptCollectionError
from retriever.lexical.bm25_index import BM25Index

TEXTS = [
    "The runner was running",
    "Zebras and a zebra",
    "Café in Zürich",
    "The Who",
    "running shoes for a runner",
]


def filled(texts=TEXTS, path=None):
    index = BM25Index(path)
    index.add(np.arange(1, len(texts) + 1), texts)
    index.commit()
    return index


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("runs", {1, 5}),
        ("ZEBRA", {2}),
        ("cafe zurich", {3}),
        ("unheard", set()),
        ("the", {1, 4}),
        ("?!", set()),
    ],
)
def test_stems_case_and_accents(query, expected):
    assert set(filled().search(query, 10)[0].tolist()) == expected


def test_scores_are_the_formula():
    texts = ["cat cat dog", "dog", "bird bird bird bird"]
    pids, scores = filled(texts).search("cat", 3)
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    length, average = 3, 8 / 3
    expected = idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * length / average))
    assert pids.tolist() == [1]
    assert scores[0] == pytest.approx(expected, rel=1e-3)


def test_spread_is_the_deviation_of_independent_words():
    texts = [f"word{i % 2} other{i % 5}" for i in range(1000)]
    index = filled(texts)
    scores = index.score("word1 other3", np.arange(1, 1001))
    assert index.spread("word1 other3") == pytest.approx(float(scores.std()), rel=0.02)
    assert index.spread("unheard") == 0.0
    assert BM25Index().spread("cat") == 0.0


def test_scores_of_given_passages_equal_those_of_a_search():
    index = filled()
    pids, scores = index.search("running zebra", 10)
    every = index.score("running zebra", np.arange(1, 6))
    assert {int(pid): float(score) for pid, score in zip(pids, scores, strict=True)} == {
        pid: float(score) for pid, score in enumerate(every, 1) if score
    }


def test_filters_are_inside():
    index = filled()
    assert index.search("runner", 10, allowed=np.array([5, 9]))[0].tolist() == [5]
    assert index.search("runner", 10, allowed=np.array([], dtype=np.int64))[0].tolist() == []


def test_ties_go_to_the_older_passage():
    index = BM25Index()
    for pid in (3, 1, 2):
        index.add(np.array([pid]), ["same words"])
        index.commit()
    assert index.search("words", 3)[0].tolist() == [1, 2, 3]


def test_removed_passages_are_gone_after_commit():
    index = filled()
    index.remove(np.array([1, 77]))
    index.remove(np.array([], dtype=np.int64))
    index.commit()
    assert index.search("runner", 10)[0].tolist() == [5]
    assert len(index) == 4


def test_uncommitted_changes_are_dropped_on_close(tmp_path):
    index = filled(path=tmp_path / "lexical")
    index.add(np.array([9]), ["giraffe"])
    index.close()
    again = BM25Index(tmp_path / "lexical")
    assert len(again) == 5
    assert again.search("giraffe", 1)[0].tolist() == []
    assert again.search("zebra", 1)[0].tolist() == [2]


def test_a_damaged_folder_is_named(tmp_path):
    filled(path=tmp_path / "lexical").close()
    (tmp_path / "lexical" / "meta.json").write_text("{")
    with pytest.raises(CorruptCollectionError, match="lexical cannot be read"):
        BM25Index(tmp_path / "lexical")


def test_a_damaged_file_is_an_error_of_ours_and_no_panic(tmp_path):
    filled(path=tmp_path / "lexical").close()
    (victim,) = (tmp_path / "lexical").glob("*.fast")  # tantivy panics on some changes in it
    whole = victim.read_bytes()
    refused = 0
    for place in range(len(whole)):
        copy = tmp_path / str(place)  # not in place: what is mapped into memory may not be changed
        shutil.copytree(tmp_path / "lexical", copy)
        (copy / victim.name).write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            BM25Index(copy)
        except CorruptCollectionError:
            refused += 1
    assert refused > len(whole) // 4


@given(st.text(max_size=60))
def test_any_query_is_only_text(query):
    index = filled()
    pids, scores = index.search(query, 5)
    assert len(pids) == len(scores) <= 5
    assert np.isfinite(scores).all()


def test_two_threads_may_commit_at_once(tmp_path):
    index = filled(path=tmp_path / "index")
    with ThreadPoolExecutor(4) as executor:
        for turn in range(5):
            index.add(np.asarray([100 + turn]), ["a heron"])
            list(executor.map(lambda _: index.write(), range(8)))
    index.reload()
    assert index.search("heron", 10)[0].tolist() == [100, 101, 102, 103, 104]


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path):
    """Tantivy numbers its operations from the last commit on, and does not write over a file."""
    filled(path=tmp_path).close()
    meta = json.loads((tmp_path / "meta.json").read_bytes())
    segment = meta["segments"][0]["segment_id"].replace("-", "")
    for number in range(meta["opstamp"], meta["opstamp"] + 50):
        (tmp_path / f"{segment}.{number}.del").write_bytes(b"half of it")
    (tmp_path / f"{'0' * 32}.idx").write_bytes(b"of a segment that was never committed")
    again = BM25Index(tmp_path)
    again.remove(np.array([2]))
    again.commit()
    again.close()
    assert len(again) == len(TEXTS) - 1
    assert not (tmp_path / f"{'0' * 32}.idx").exists()
    assert len(list(tmp_path.glob("*.del"))) == 1
    assert BM25Index(tmp_path).search("zebra", 5)[0].tolist() == []


def test_a_new_writers_first_deletion_outlives_a_merge(tmp_path):
    index = BM25Index(tmp_path)
    for first in range(0, 800, 100):
        index.add(np.arange(first, first + 20), ["one word"] * 20)
        index.remove(np.array([5] if first == 700 else []))
        index.write()
    index.close()
    # As many parts are there as are merged, and the next one begins that.
    index = BM25Index(tmp_path)
    index.remove(np.array([8, 105, 705]))
    index.add(np.array([900]), ["one word"])
    index.commit()
    for _ in range(500):
        if len(json.loads((tmp_path / "meta.json").read_bytes())["segments"]) < 8:
            break
        time.sleep(0.01)
    index.close()

    again = BM25Index(tmp_path)
    found, _ = again.search("word", 1000)
    assert not set(found.tolist()) & {5, 8, 105, 705}
    assert len(again) == 8 * 20 - 4 + 1


def test_nothing_is_written_after_closing(tmp_path):
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(3000)]
    for turn in range(9):  # enough segments for tantivy to merge some
        index = BM25Index(tmp_path)
        texts = [" ".join(rng.choice(words, 300)) for _ in range(300)]
        index.add(np.arange(300) + 300 * turn, texts)
        index.commit()
        index.close()
        left = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        time.sleep(0.1)
        assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == left
