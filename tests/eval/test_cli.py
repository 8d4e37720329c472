"""The commands as a user types them, through the one door."""

import csv
import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from eval.datasets import write_beir
from eval.runs import read_qrels, read_run
from retriever import Retriever, RetrieverConfig
from retriever.cli.main import app
from tests.eval.factories import topical_dataset


@pytest.fixture(scope="module")
def beir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "topics"
    write_beir(folder, topical_dataset())
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory, encoder):
    folder = tmp_path_factory.mktemp("mine") / "collection"
    config = RetrieverConfig(encoder=encoder, reranker=None)
    Retriever.from_corpus(topical_dataset().documents, path=folder, config=config).close()
    return folder


@pytest.fixture
def questions_file(tmp_path):
    dataset = topical_dataset()
    with (tmp_path / "mine.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["question", "document_id"])
        writer.writerows([text, next(iter(dataset.qrels[query]))] for query, text in dataset.queries.items())
    return tmp_path / "mine.csv"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_eval_prints_a_table_and_writes_figures_and_runs(beir, encoder, tmp_path):
    options = ("--encoder", encoder, "--reranker", "none")
    found = run("eval", beir, *options, "--out", tmp_path / "x.json", "--runs", tmp_path / "runs")
    assert found.exit_code == 0, found.output
    assert "nDCG@10" in found.output
    assert "have no judgment" in found.output.replace("\n", " ")
    figures = json.loads((tmp_path / "x.json").read_text())
    assert set(figures["stages"]) == {"lexical", "dense", "hybrid"}
    assert len(read_run(tmp_path / "runs" / "topics.dense.run")) == 12
    assert len(read_qrels(tmp_path / "runs" / "topics.qrels")) == 12


def test_eval_speaks_json(beir, encoder):
    found = run("eval", beir, "--encoder", encoder, "--reranker", "none", "--sample", 5, "--json")
    assert json.loads(found.stdout)["queries"] == 5


def test_eval_of_an_existing_collection_with_ones_own_questions(collection, questions_file):
    found = run("eval", collection, "--questions", questions_file, "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["dataset"] == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "has no questions of its own: give --questions"),
        (("--questions", "x.csv", "--qrels", "y"), "either --questions or --queries"),
        (("--questions", "nowhere.csv"), "cannot read nowhere.csv"),
    ],
)
def test_a_collection_needs_questions(collection, options, message):
    found = run("eval", collection, *options)
    assert found.exit_code == 1
    assert message in found.output


def test_settings_of_building_are_refused_for_an_existing_collection(collection, questions_file):
    found = run("eval", collection, "--questions", questions_file, "--dimensions", 8)
    assert found.exit_code == 1
    assert "an existing collection keeps its own" in found.output


def test_what_is_no_data_set_is_named(tmp_path):
    assert "is no folder" in run("eval", tmp_path / "nothing").output
    (tmp_path / "empty").mkdir()
    found = run("eval", tmp_path / "empty")
    assert found.exit_code == 1
    assert "neither a BEIR folder" in found.output


def test_tradeoff_writes_a_report_and_recommends(beir, encoder, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    out = tmp_path / "study"
    options = ("--encoder", encoder, "--rerankers", "none", "--dimensions", "8,64", "--fusion", "zscore,rrf")
    found = run("tradeoff", beir, *options, "--depths", "0", "--out", out)
    assert found.exit_code == 0, found.output
    assert "RetrieverConfig(" in found.output
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page.replace("https://", "http").split("<body>")[1]
    assert (out / "quality.png").stat().st_size > 10_000
    values = json.loads((out / "tradeoff.json").read_text())
    assert len(values["settings"]) == 4
    assert sum(values["attribution"]["shares"].values()) == pytest.approx(1)


def test_tradeoff_names_its_extra_before_the_study(beir, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("eval.report.page.find_spec", lambda _: None)
    found = run("tradeoff", beir, "--encoder", encoder, "--out", tmp_path / "study")
    assert found.exit_code == 1
    assert "two-stage-retriever[report]" in found.output
    assert not (tmp_path / "study").exists()


def test_tradeoff_runs_on_an_existing_collection(collection, questions_file, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    options = ("--questions", questions_file, "--rerankers", "none", "--depths", "0")
    found = run("tradeoff", collection, *options, "--out", tmp_path / "s", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["recommendation"]["code"].startswith("RetrieverConfig(")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--depths", "0,ten"), "'ten' is not a whole number"),
        (("--fusion", "sum"), "'sum' is not a fusion; there are zscore, rrf"),
        (("--dimensions", "9999"), "9999"),
    ],
)
def test_wrong_grids_are_refused(beir, encoder, options, message, tmp_path):
    found = run("tradeoff", beir, "--encoder", encoder, "--out", tmp_path, "--rerankers", "none", *options)
    assert found.exit_code == 1
    assert message in found.output


def test_compare_two_runs(beir, encoder, tmp_path):
    pytest.importorskip("scipy", reason="scipy is not installed")
    run("eval", beir, "--encoder", encoder, "--reranker", "none", "--runs", tmp_path)
    first, second, qrels = (tmp_path / f"topics.{name}" for name in ("lexical.run", "dense.run", "qrels"))
    found = run("compare", first, second, "--qrels", qrels)
    assert found.exit_code == 0, found.output
    assert "win/tie/loss" in found.output
    values = json.loads(run("compare", first, second, "--qrels", qrels, "--json").stdout)
    one = values["comparisons"][0]
    assert one["wins"] + one["ties"] + one["losses"] == values["queries"] == 12
    assert one["p_corrected"] >= one["p_randomization"]


def test_compare_refuses_runs_of_other_queries(tmp_path):
    (tmp_path / "a.run").write_text("other Q0 d1 1 1.0 t\n")
    (tmp_path / "j.qrels").write_text("q1 0 d1 1\n")
    found = run("compare", tmp_path / "a.run", tmp_path / "a.run", "--qrels", tmp_path / "j.qrels")
    assert found.exit_code == 1
    assert "answers no query" in found.output


def test_questions_out_of_a_collection_feed_the_evaluation(collection, encoder, tmp_path):
    out = tmp_path / "made"
    found = run("questions", collection, "--out", out, "--kinds", "title")
    assert found.exit_code == 1  # titles such as "sea" say too little
    assert "write questions yourself" in found.output
    source = tmp_path / "notes"
    source.mkdir()
    for number, topic in enumerate(("boiler valve", "garden hose", "kitchen oven")):
        text = f"# About the {topic}\n\n" + f"The {topic} number {number} is used daily. " * 6
        (source / f"{number}.md").write_text(text)
    found = run("questions", source, "--out", out)
    assert found.exit_code == 0, found.output
    assert "cannot show" in found.output
    assert "cannot show" in json.loads((out / "about.json").read_text())["caveat"]
    assert run("eval", out, "--encoder", encoder, "--reranker", "none").exit_code == 0


def test_wrong_use_ends_with_two():
    assert run("eval").exit_code == 2
    assert run("compare", "one.run").exit_code == 2


def test_square_brackets_are_text_and_ids_may_have_spaces(tmp_path, encoder):
    made = topical_dataset()
    first = next(iter(made.queries))
    ids = {document.id: f"{document.id} [/x].md" for document in made.documents}
    dataset = replace(
        made,
        queries=made.queries | {first: "quantum chromodynamics [/foo] [red]"},
        qrels={
            query: {ids[id]: grade for id, grade in grades.items()} for query, grades in made.qrels.items()
        },
        documents=[replace(document, id=ids[document.id]) for document in made.documents],
    )
    folder = tmp_path / "topics[b]"
    write_beir(folder, dataset)
    options = ("--encoder", encoder)
    found = run("eval", folder, *options, "--reranker", "none", "--runs", tmp_path / "runs")
    assert found.exit_code == 0, found.output
    assert "topics[b]:" in found.output
    ran = read_run(tmp_path / "runs" / "topics[b].hybrid.run")
    assert {id for ranked in ran.values() for id in ranked} <= set(ids.values())
    study = run("tradeoff", folder, *options, "--rerankers", "none", "--depths", "0", "--out", tmp_path / "t")
    assert study.exit_code == 0, study.output
    assert "[/foo]" in study.output


def test_what_cannot_be_written_to_is_told_before_the_work(beir, encoder, tmp_path):
    (tmp_path / "file").write_text("")
    for command in (
        ["eval", beir, "--encoder", encoder, "--runs", tmp_path / "file"],
        ["eval", beir, "--encoder", encoder, "--out", tmp_path / "file" / "x.json"],
        ["questions", beir, "--out", tmp_path / "file"],
    ):
        found = run(*command)
        assert found.exit_code == 1
        assert "cannot write to" in found.output


def test_a_document_that_is_no_text_is_named(tmp_path, encoder):
    write_beir(tmp_path / "b", topical_dataset())
    (tmp_path / "b" / "corpus.jsonl").write_text('{"_id": "d1", "text": 5}\n')
    found = run("eval", tmp_path / "b", "--encoder", encoder)
    assert found.exit_code == 1
    assert "line 1: text and title must be strings" in " ".join(found.output.split())
