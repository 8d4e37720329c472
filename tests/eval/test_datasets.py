"""Data sets from BEIR folders, CSV questions, TREC files and ir_datasets."""

import pytest

from eval.datasets import Dataset, load_beir, load_ir_datasets, load_questions, load_topics, write_beir
from retriever.errors import InvalidInputError, SourceError
from retriever.types import Document


def small_dataset():
    documents = [Document(id=f"d{n}", text=f"text {n}", title=f"title {n}") for n in range(5)]
    return Dataset(
        "small", {"q1": "one", "q2": "two"}, {"q1": {"d1": 2}, "q2": {"d2": 1, "d9": 1}}, documents
    )


def test_a_beir_folder_is_written_and_read_back(tmp_path):
    dataset = small_dataset()
    write_beir(tmp_path / "small", dataset)
    loaded = load_beir(tmp_path / "small")
    assert (loaded.name, loaded.queries, loaded.qrels) == ("small", dataset.queries, dataset.qrels)
    assert list(loaded.documents) == list(loaded.documents) == dataset.documents


def test_relevant_documents_that_cannot_be_found_are_listed():
    dataset = small_dataset()
    assert dataset.unknown_documents({document.id for document in dataset.documents}) == ["d9"]


def test_queries_without_text_are_dropped_and_named(tmp_path):
    write_beir(tmp_path, small_dataset())
    (tmp_path / "queries.jsonl").write_text('{"_id": "q2", "text": "two"}\n')
    loaded = load_beir(tmp_path)
    assert (dict(loaded.queries), loaded.dropped) == ({"q2": "two"}, ("q1",))


def test_documents_without_any_text_are_passed_over(tmp_path):
    write_beir(tmp_path, small_dataset())
    with (tmp_path / "corpus.jsonl").open("a") as out:
        out.write(
            '{"_id": "empty", "title": "", "text": " "}\n{"_id": "title only", "title": "t", "text": ""}\n'
        )
    ids = [document.id for document in load_beir(tmp_path).documents]
    assert "empty" not in ids
    assert "title only" in ids


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_of_a_beir_folder_is_named(tmp_path, name):
    write_beir(tmp_path, small_dataset())
    (tmp_path / name).unlink()
    with pytest.raises(SourceError, match=f"not a BEIR folder.*{name}"):
        load_beir(tmp_path)


def test_a_broken_line_is_named(tmp_path):
    write_beir(tmp_path, small_dataset())
    with (tmp_path / "corpus.jsonl").open("a") as out:
        out.write('{"text": "no id"}\n')
    with pytest.raises(SourceError, match=r"corpus\.jsonl, line 6: no '_id'"):
        list(load_beir(tmp_path).documents)
    (tmp_path / "queries.jsonl").write_text("{not json\n")
    with pytest.raises(SourceError, match=r"queries\.jsonl, line 1: not JSON"):
        load_beir(tmp_path)


def test_a_sample_keeps_queries_with_their_judgments():
    sample = small_dataset().sample(1)
    assert len(sample.queries) == 1
    assert set(sample.queries) == set(sample.qrels)


def test_questions_come_from_csv_in_file_order(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text('Question,Document_ID,grade\n"how, so?",d1,2\nwhy,d2,\n"how, so?",d3,1\n')
    loaded = load_questions(path)
    assert loaded.queries == {"Q1": "how, so?", "Q2": "why"}
    assert loaded.qrels == {"Q1": {"d1": 2, "d3": 1}, "Q2": {"d2": 1}}
    assert loaded.documents is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "has the columns a, b; expected question and document_id"),
        ("question,document_id\nwhy,\n", "line 2: the question or its document id is empty"),
        ("question,document_id\n", "has no questions"),
        ("question,document_id,grade\nwhy,d,x\n", "grade 'x' is not a whole number"),
    ],
)
def test_malformed_questions_are_named(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        load_questions(path)


def test_topics_and_trec_judgments(tmp_path):
    (tmp_path / "topics.tsv").write_text("1\twhat is it\n2\tunjudged\n")
    (tmp_path / "j.qrels").write_text("1 0 d1 1\n")
    loaded = load_topics(tmp_path / "topics.tsv", tmp_path / "j.qrels")
    assert (loaded.name, dict(loaded.queries)) == ("j", {"1": "what is it"})


def test_topics_that_share_no_id_with_the_judgments_are_refused(tmp_path):
    (tmp_path / "topics.tsv").write_text("A\twhat is it\n")
    (tmp_path / "j.qrels").write_text("1 0 d1 1\n")
    with pytest.raises(SourceError, match="no query has both a text and judgments"):
        load_topics(tmp_path / "topics.tsv", tmp_path / "j.qrels")


def test_a_dataset_without_documents_is_not_written(tmp_path):
    with pytest.raises(InvalidInputError, match="no documents of its own"):
        write_beir(tmp_path, Dataset("x", {}, {}))


def test_ir_datasets_by_id(tmp_path):
    ir_datasets = pytest.importorskip("ir_datasets", reason="ir_datasets is not installed")
    (tmp_path / "docs.tsv").write_text("d1\tfirst text\nd2\tsecond text\n")
    (tmp_path / "queries.tsv").write_text("q1\tfirst\n")
    (tmp_path / "judged.qrels").write_text("q1 0 d1 1\n")
    ir_datasets.registry.register(
        "tiny-for-tests",
        ir_datasets.create_dataset(
            docs_tsv=str(tmp_path / "docs.tsv"),
            queries_tsv=str(tmp_path / "queries.tsv"),
            qrels_trec=str(tmp_path / "judged.qrels"),
        ),
    )
    loaded = load_ir_datasets("irds:tiny-for-tests")
    assert (dict(loaded.queries), loaded.qrels) == ({"q1": "first"}, {"q1": {"d1": 1}})
    assert [document.text for document in loaded.documents] == ["first text", "second text"]
    with pytest.raises(SourceError, match="knows no 'nothing-like-it'"):
        load_ir_datasets("nothing-like-it")
