import json

import numpy as np
import pytest

from distillation.adaptation import adapt
from distillation.held_back import hold_back, own_pairs
from distillation.tables import token_rows, with_rows
from distillation.teacher import Teacher
from retriever import Retriever
from retriever.encoder import StaticEncoder
from retriever.errors import ConfigError, InvalidInputError
from retriever.types import Document
from tests.distillation.factories import WORDS, encoder, teacher_folder

COMMON = "bal bem bil bol bul"


def corpus(count=120, seed=0):
    """Documents of three sentences about two words of their own, drowned in common ones."""
    generator = np.random.default_rng(seed)
    documents = []
    for number in range(count):
        first, second, third = generator.choice(WORDS[25:], 3, replace=False)
        text = f"{COMMON} {first} {second}. {COMMON} {second} {third}. {COMMON} {third} {first}."
        text = ". ".join(part.strip().capitalize() for part in text.split(".") if part.strip()) + "."
        documents.append(Document(id=str(number), title=f"{first} {second}", text=text))
    return documents


def muddled():
    """A table whose vectors all point one way: what training is to mend."""
    table = token_rows(encoder())
    return with_rows(encoder(), table + 4 * np.ones(table.shape[1], dtype=np.float32))


class Agreeing:
    """A reranker that counts shared words."""

    def score(self, query, passages):
        asked = set(query.lower().split())
        return np.array([len(asked & set(p.lower().replace(".", "").split())) for p in passages], np.float32)


def test_a_muddled_table_is_mended():
    result = adapt(muddled(), corpus())
    assert result.changes
    assert result.after > result.before
    assert result.held_back == 30


def test_bytes_stay_bytes():
    result = adapt(muddled().quantize("int8"), corpus())
    assert result.changes
    assert result.encoder._parts().table.dtype == np.int8


def test_nothing_is_changed_where_nothing_is_gained():
    perfect = [Document(id=str(n), title=word, text=f"{word} {word}") for n, word in enumerate(WORDS[:100])]
    start = encoder()
    result = adapt(start, perfect)
    assert result.encoder is start
    assert result.changes == ()
    assert result.after == result.before == 1


def test_a_reranker_judges():
    result = adapt(muddled(), corpus(), teacher=Agreeing())
    assert result.after > result.before


def test_a_teacher_trains(tmp_path):
    teacher = Teacher(teacher_folder(tmp_path / "tiny"))
    said = []
    result = adapt(muddled(), corpus(60), teacher=teacher, progress=lambda *told: said.append(told))
    stages = {what: (done, total) for what, done, total in said}
    assert stages["tiny reads the corpus"][0] == stages["tiny reads the corpus"][1] > 60
    assert stages["training"] == (100, 100)
    assert result.after >= result.before


class Knowing(Agreeing):
    """A reranker that also reads texts alone, each as how often it has which word."""

    def __init__(self, words=WORDS):
        self.place = {word: place for place, word in enumerate(words)}

    @property
    def reader(self):
        return self

    name = "knowing"

    def encode(self, texts, *, progress=None):
        vectors = np.full((len(texts), len(self.place) + 1), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().replace(".", "").split():
                vectors[row, self.place.get(word, -1)] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_reranker_that_reads_texts_apart_teaches():
    knowing = Knowing([word for word in WORDS if word not in COMMON.split()])
    start = encoder(dimensions=64)
    result = adapt(start, corpus(200), teacher=knowing)
    assert result.changes == ("taught by knowing",)
    assert result.after > result.before + 0.05
    # What is returned was trained on the held-back questions too.
    held = hold_back(corpus(200), start, judge=knowing)
    assert held.scores(result.encoder).mean() > result.after


def test_what_a_bad_teacher_taught_is_not_kept():
    class Lying(Knowing):
        def encode(self, texts, *, progress=None):
            drawn = [np.random.default_rng(len(text)).standard_normal(16) for text in texts]
            return np.array([row / np.linalg.norm(row) for row in drawn], dtype=np.float32)

    perfect = [Document(id=str(n), title=word, text=f"{word} {word}") for n, word in enumerate(WORDS[:100])]
    start = encoder(dimensions=64)
    result = adapt(start, perfect, teacher=Lying())
    assert not any(change.startswith("taught") for change in result.changes)
    assert result.after >= result.before


def test_the_same_seed_gives_the_same_table():
    one, two = (adapt(muddled(), corpus()) for _ in range(2))
    np.testing.assert_array_equal(token_rows(one.encoder), token_rows(two.encoder))


def test_a_negative_seed_is_refused():
    with pytest.raises(InvalidInputError, match="seed must be a whole number"):
        adapt(encoder(), corpus(), seed=-1)


def test_too_few_documents_are_named():
    with pytest.raises(InvalidInputError, match="needs 50 passages or more, not 3"):
        adapt(encoder(), ["bal", "don", "gest"])


def test_long_documents_are_learned_from_passage_by_passage():
    sentences = [document.text for document in corpus(2000)]
    books = [Document(id=str(n), text=" ".join(sentences[n::4])) for n in range(4)]
    assert adapt(muddled(), books).held_back > len(books)


def test_documents_that_ask_nothing_are_named():
    with pytest.raises(InvalidInputError, match="neither|no document has a title or two sentences"):
        adapt(encoder(), [f"{word} only" for word in WORDS[:60]])


def test_a_question_is_taken_out_of_its_document():
    held = hold_back(corpus(), encoder())
    for question, answer in zip(held.questions, held.answers, strict=True):
        # A title's words may be in the text under it; a sentence must not be.
        assert not question.endswith(".") or question not in held.pool[answer]
    assert held.documents == set(held.answers.tolist())


def test_titles_headings_and_sentences_make_pairs():
    text = "Intro. More.\n# Install\nRun it. Then wait.\n## Use\nCall it."
    found = {(pair.source, pair.query) for pair in own_pairs([Document("1", text, title="Guide")], seed=0)}
    assert {("title", "Guide"), ("heading", "Install"), ("heading", "Use")} <= found
    assert any(source == "cloze" for source, _ in found)


@pytest.fixture
def command():
    import typer
    from typer.testing import CliRunner

    import distillation.cli

    def run(name, *arguments):
        app = typer.Typer()
        app.command()(getattr(distillation.cli, name))
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


def test_the_commands_write_encoders(tmp_path, command):
    teacher = teacher_folder(tmp_path / "tiny")
    made = command("distill", teacher, "--out", tmp_path / "made", "--dimensions", 8, "--int8", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["dimensions"] == 8
    muddled().save(tmp_path / "start")
    lines = (json.dumps({"_id": d.id, "title": d.title, "text": d.text}) for d in corpus())
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    adapted = command(
        "adapt",
        tmp_path / "corpus.jsonl",
        "--out",
        tmp_path / "mine",
        "--encoder",
        tmp_path / "start",
        "--reranker",
        "none",
        "--json",
    )
    assert adapted.exit_code == 0, adapted.output
    facts = json.loads(adapted.stdout)
    assert facts["after"] > facts["before"]
    assert StaticEncoder.load(tmp_path / "mine").dimensions == 16


def test_what_stands_at_out_is_kept(tmp_path, command):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "collection.json").write_text("{}")
    for name, found in (("file", "is a file"), ("folder", "other files")):
        result = command("adapt", tmp_path / "none", "--out", tmp_path / name)
        assert isinstance(result.exception, InvalidInputError)
        assert found in str(result.exception)


def test_a_teachers_folder_is_not_written_over(tmp_path, command):
    teacher = teacher_folder(tmp_path / "tiny")
    before = {path.name: path.read_bytes() for path in teacher.iterdir() if path.is_file()}
    result = command("distill", teacher, "--out", teacher, "--dimensions", 8)
    assert isinstance(result.exception, InvalidInputError)
    assert {path.name: path.read_bytes() for path in teacher.iterdir() if path.is_file()} == before


def test_the_given_encoder_opens_a_collection_that_was_built_with_it(tmp_path, command):
    muddled().save(tmp_path / "start")
    Retriever.from_corpus(corpus(), path=tmp_path / "notes", encoder=muddled()).close()
    options = ("--out", tmp_path / "mine", "--reranker", "none", "--json")
    assert isinstance(command("adapt", tmp_path / "notes", *options).exception, ConfigError)
    adapted = command("adapt", tmp_path / "notes", "--encoder", tmp_path / "start", *options)
    assert adapted.exit_code == 0, adapted.output
    assert StaticEncoder.load(tmp_path / "mine").dimensions == 16


def test_an_encoder_may_be_named(tmp_path):
    muddled().save(tmp_path / "start")
    named, given = adapt(tmp_path / "start", corpus(60)), adapt(muddled(), corpus(60))
    assert (named.before, named.after) == pytest.approx((given.before, given.after))


def test_adapt_wants_one_teacher(tmp_path, command):
    result = command("adapt", tmp_path, "--out", tmp_path / "x", "--teacher", "a", "--reranker", "bundled")
    assert result.exit_code == 2
    assert "exclude each other" in " ".join(result.output.split())
