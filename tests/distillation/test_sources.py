import gzip
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.sources import balanced_order, cloze_pairs, read_pairs, read_passages
from retriever.errors import SourceError


def test_pairs_are_read_with_their_source(tmp_path):
    path = tmp_path / "manuals.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(json.dumps({"query": "q", "positive": "p"}) + "\n")
        file.write(json.dumps({"query": "r", "positive": "s", "source": "vim"}) + "\n")
    assert [pair.source for pair in read_pairs(path)] == ["manuals", "manuals/vim"]


@pytest.mark.parametrize(
    ("line", "message"),
    [("not json", "line 1: not JSON"), ('{"query": "q"}', 'line 1: expected .*"positive"')],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "pairs.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        read_pairs(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match="nothing.jsonl"):
        read_pairs(tmp_path / "nothing.jsonl")


def test_passages_are_read(tmp_path):
    path = tmp_path / "passages.jsonl"
    path.write_text('{"title": "T", "text": "One."}\n{"text": "Two."}\n', encoding="utf-8")
    assert list(read_passages(path)) == [("T", "One."), ("", "Two.")]


def test_cloze_takes_one_sentence_out():
    (pair,) = cloze_pairs(
        [("Title", "First one. Second one! Third one?"), ("", "Only one.")], source="s", seed=3
    )
    sentences = {"First one.", "Second one!", "Third one?"}
    assert pair.query in sentences
    assert pair.positive == "Title\n" + " ".join(
        s for s in ("First one.", "Second one!", "Third one?") if s != pair.query
    )


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(0, 5))
def test_balanced_order_is_a_permutation(sources, seed):
    assert sorted(balanced_order(sources, seed=seed)) == list(range(len(sources)))


def test_a_prefix_draws_by_the_square_root_of_the_size():
    sources = ["large"] * 900 + ["small"] * 100
    leading = Counter(sources[row] for row in balanced_order(sources)[:120])
    assert leading["large"] / leading["small"] == pytest.approx(3, rel=0.05)
