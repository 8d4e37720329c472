"""Run and judgment files."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.runs import ranking, rankings, read_qrels, read_run, strictly_falling, write_qrels, write_run
from retriever.errors import SourceError

scores = st.floats(-1e6, 1e6, width=32)


@given(st.lists(scores, max_size=30))
def test_nudged_scores_fall_strictly_in_single_precision(values):
    falling = strictly_falling(values)
    singles = np.asarray(falling, dtype=np.float32)
    assert np.all(singles[1:] < singles[:-1])


def test_scores_that_fall_already_are_kept():
    assert strictly_falling([3.0, 2.5, -1.0]) == [3.0, 2.5, -1.0]


@given(st.lists(scores, min_size=1, max_size=20))
def test_a_written_run_is_read_back_in_its_order(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("run") / "a.run"
    ranked = [(f"d{place}", value) for place, value in enumerate(values)]
    write_run(path, {"q": ranked})
    assert rankings(read_run(path))["q"] == [document for document, _ in ranked]


def test_ties_are_broken_by_falling_id_as_trec_eval_does():
    assert ranking({"a": 1.0, "c": 1.0, "b": 2.0}) == ["b", "c", "a"]


def test_qrels_are_read_in_both_formats(tmp_path):
    trec, beir = tmp_path / "a.qrels", tmp_path / "b.tsv"
    write_qrels(trec, {"q1": {"d1": 2, "d2": 0}})
    beir.write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n")
    assert read_qrels(trec) == read_qrels(beir) == {"q1": {"d1": 2, "d2": 0}}


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%"), min_size=1))
def test_ids_come_back_whatever_white_space_they_hold(name):
    with tempfile.TemporaryDirectory() as folder:
        run, qrels = Path(folder, "a.run"), Path(folder, "a.qrels")
        write_run(run, {"q 1": [(name, 1.0)]})
        write_qrels(qrels, {"q 1": {name: 1}})
        assert read_run(run) == {"q 1": {name: 1.0}}
        assert read_qrels(qrels) == {"q 1": {name: 1}}


def test_ids_of_others_are_left_as_they_are(tmp_path):
    (tmp_path / "a.run").write_text("q Q0 100%25_or%2Fso 1 1.0 t\n")
    assert read_run(tmp_path / "a.run") == {"q": {"100%25_or%2Fso": 1.0}}


def test_what_cannot_be_written_is_named(tmp_path):
    with pytest.raises(SourceError, match="cannot write .*none"):
        write_run(tmp_path / "none" / "x.run", {"q": [("a", 1.0)]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 d 1 2.0\n", r"line 1: 5 columns.*six"),
        ("q Q0 d 1 high t\n", r"score 'high' is not a number"),
        ("q Q0 d 1 2 t\nq Q0 d 2 1 t\n", r"line 2: document 'd' is listed twice"),
        ("", "is empty"),
    ],
)
def test_a_malformed_run_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "a.run"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        read_run(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("q 0 d\n", "3 columns"), ("q 0 d yes\n", "'yes' is not a whole number"), ("", "no judgments")],
)
def test_malformed_judgments_are_named_with_their_line(tmp_path, text, message):
    path = tmp_path / "a.qrels"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        read_qrels(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere\.run"):
        read_run(tmp_path / "nowhere.run")


def test_a_byte_order_mark_is_no_part_of_an_id_and_other_encodings_are_named(tmp_path):
    (tmp_path / "bom.run").write_text("\ufeffq1 Q0 a 1 2.0 t\nq1 Q0 b 2 1.0 t\n", encoding="utf-8")
    assert read_run(tmp_path / "bom.run") == {"q1": {"a": 2.0, "b": 1.0}}
    (tmp_path / "bom.tsv").write_text("\ufeffquery-id\tcorpus-id\tscore\nq1\ta\t1\n", encoding="utf-8")
    assert read_qrels(tmp_path / "bom.tsv") == {"q1": {"a": 1}}
    (tmp_path / "latin.run").write_bytes("q1 Q0 caf\xe9 1 2.0 t\n".encode("latin-1"))
    with pytest.raises(SourceError, match=r"latin\.run.*UTF-8"):
        read_run(tmp_path / "latin.run")
