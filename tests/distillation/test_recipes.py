import gzip
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from distillation.recipes.measure import load_test_set, measure, measure_all
from distillation.recipes.mixture import HELD_OUT, LIMITS, SHARES, proportions
from distillation.sources import Pair
from retriever.encoder import StaticEncoder
from tests.distillation.factories import pairs as made_pairs
from tests.distillation.factories import teacher_folder

pytest.importorskip("Stemmer", reason="BM25 of the recipes stems with PyStemmer")


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    documents = [("a", "cats", "Cats purr."), ("b", "", "Dogs bark."), ("c", "birds", "Birds sing songs.")]
    queries = [("1", "what purrs"), ("2", "singing birds"), ("3", "never judged")]
    (folder / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"_id": i, "title": t, "text": x}) for i, t, x in documents), encoding="utf-8"
    )
    (folder / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": i, "text": x}) for i, x in queries), encoding="utf-8"
    )
    (folder / "qrels" / "test.tsv").write_text("q\td\ts\n1\ta\t1\n2\tc\t1\n", encoding="utf-8")
    return folder


def test_a_beir_folder_is_read_with_its_judged_queries(beir):
    test = load_test_set(beir)
    assert test.passages[0] == "cats Cats purr."
    assert test.queries == ["what purrs", "singing birds"]
    assert test.qrels == {"0": {"0": 1}, "1": {"2": 1}}


def test_perfect_vectors_score_one_and_bm25_helps_the_rest(beir):
    test = load_test_set(beir)
    place = {text: row for row, text in enumerate(test.passages)} | {test.queries[0]: 0, test.queries[1]: 2}

    def perfect(texts):
        return np.eye(3, dtype=np.float32)[[place[text] for text in texts]]

    def wrong(texts):
        return np.eye(3, dtype=np.float32)[[0 if text in test.queries else place[text] for text in texts]]

    assert measure(perfect, test) == {"ndcg": 1, "recall": 1, "hybrid_ndcg": 1, "hybrid_recall": 1}
    scored = measure_all(wrong, [test])
    assert scored["mean"]["ndcg"] < 1
    assert scored["mean"]["hybrid_ndcg"] >= scored["mean"]["ndcg"]


def test_a_file_of_many_sources_counts_once():
    pairs = [Pair("q", "p", f"documentation/{number % 30}") for number in range(300)]
    pairs += [Pair("q", "p", "squad_questions")] * 5
    shares = proportions(pairs)
    documentation = sum(share for source, share in shares.items() if source.startswith("documentation/"))
    assert documentation == pytest.approx(SHARES["documentation"])
    assert shares["squad_questions"] == pytest.approx(SHARES["squad_questions"])


def test_the_mixture_is_consistent():
    assert set(SHARES) == set(LIMITS)
    assert {source.split("/")[0] for source in HELD_OUT} <= set(LIMITS)


def write_pairs(folder):
    for number, name in enumerate(LIMITS):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            for pair in made_pairs(12, seed=number):
                record = {"query": pair.query, "positive": pair.positive}
                if name == "enwiki_passages":
                    record = {"title": pair.query, "text": f"{pair.positive.capitalize()}. Bal bem. Don dor."}
                file.write(json.dumps(record) + "\n")


def test_teachers_are_compared(beir, tmp_path, monkeypatch):
    from distillation.recipes import compare_teachers

    write_pairs(tmp_path)
    teachers = [teacher_folder(tmp_path / "teachers" / name) for name in ("tiny", "other")]
    few = replace(compare_teachers.TRAINING, batch_size=16, smallest_width=8)
    for name, value in {"START_DIMENSIONS": 16, "DIMENSIONS": 40, "STEPS": 2, "TRAINING": few}.items():
        monkeypatch.setattr(compare_teachers, name, value)
    monkeypatch.setattr(compare_teachers, "SETS", ("tiny",))
    monkeypatch.setattr(compare_teachers, "held_out_sets", lambda _: [load_test_set(beir)])
    options = {"evaluation": beir.parent, "data": tmp_path, "cache": tmp_path / "cache"}
    options["json"] = tmp_path / "teachers.json"
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, teachers), *arguments])
    compare_teachers.main()
    found = json.loads((tmp_path / "teachers.json").read_text(encoding="utf-8"))
    for stage in ("fit", "train"):
        assert sorted(found[stage]) == ["both", "other", "tiny"]


def test_the_bundled_recipe_runs_from_pairs_to_encoder(tmp_path, monkeypatch):
    from distillation.recipes import bundled

    teacher = teacher_folder(tmp_path / "tiny")
    write_pairs(tmp_path)
    short = {"steps": 4, "batch_size": 16, "check_every": 2, "smallest_width": 8}
    monkeypatch.setattr(bundled, "START_DIMENSIONS", 16)
    monkeypatch.setattr(bundled, "DIMENSIONS", 40)
    monkeypatch.setattr(bundled, "WHITENING_TEXTS", 50)
    monkeypatch.setattr(bundled, "TRAINING", replace(bundled.TRAINING, **short))
    monkeypatch.setattr(bundled, "FINISHING", replace(bundled.FINISHING, **short))
    options = {"data": tmp_path, "teacher": teacher, "cache": tmp_path / "cache", "out": tmp_path / "out"}
    options["log"] = tmp_path / "log.jsonl"
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["bundled", *arguments])
    bundled.main()
    encoder = StaticEncoder.load(tmp_path / "out")
    assert encoder.dimensions == 40
    assert np.linalg.norm(encoder.encode("bal don")) == pytest.approx(1, abs=1e-5)
    for stage in ("train", "finish"):
        assert len((tmp_path / f"log-{stage}.jsonl").read_text().splitlines()) == 4
