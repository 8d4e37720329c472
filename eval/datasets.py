"""Queries, relevance judgments and, where they come with it, the corpus they are about."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.runs import Qrels, read_qrels
from retriever.errors import InvalidInputError, MissingExtraError, SourceError
from retriever.types import Document

IR_DATASETS_PREFIX = "irds:"
_QUESTION_COLUMNS = ("question", "query", "text")
_DOCUMENT_COLUMNS = (
    "document_id",
    "document id",
    "relevant document id",
    "relevant_document_id",
    "doc_id",
    "id",
)
_GRADE_COLUMNS = ("grade", "relevance", "score")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Judged queries, and the corpus where it belongs to them.

    :param name: shown in tables and reports.
    :param queries: query id to text; exactly the judged ones, in the order of the judgments.
    :param qrels: query id to document id to grade.
    :param documents: the corpus, readable more than once; None where an existing collection is searched.
    :param dropped: judged queries left out because their text is not there.
    """

    name: str
    queries: Mapping[str, str]
    qrels: Qrels
    documents: Iterable[Document] | None = None
    dropped: tuple[str, ...] = field(default=())

    def unknown_documents(self, known: Container[str]) -> list[str]:
        """List relevant documents that a collection does not hold, and so can never be found.

        :param known: whatever answers ``id in known``, such as a Retriever.
        :return: their ids, sorted.
        """
        relevant = {
            document for grades in self.qrels.values() for document, grade in grades.items() if grade > 0
        }
        return sorted(document for document in relevant if document not in known)

    def sample(self, queries: int, *, seed: int = 0) -> Dataset:
        """Keep some queries, drawn at random.

        :param queries: how many to keep; all of them where there are fewer.
        :param seed: of the draw.
        :return: the smaller data set over the same corpus.
        """
        kept = set(random.Random(seed).sample(list(self.queries), min(queries, len(self.queries))))
        return Dataset(
            self.name,
            {query: text for query, text in self.queries.items() if query in kept},
            {query: grades for query, grades in self.qrels.items() if query in kept},
            self.documents,
            self.dropped,
        )


class BeirCorpus:
    """The documents of a BEIR folder, read anew at each iteration.

    Documents with neither title nor text are passed over: nothing could find them.

    :param path: a ``corpus.jsonl`` of ``{"_id", "title", "text"}`` lines.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Document]:
        for number, line in _json_lines(self.path):
            try:
                document = Document(
                    id=str(line["_id"]),
                    text=line.get("text") or "",
                    title=line.get("title") or "",
                    metadata=line.get("metadata") or {},
                )
            except KeyError as error:
                raise SourceError(
                    f"{self.path}, line {number}: no {error}; a BEIR document has _id and text"
                ) from None
            if not (isinstance(document.text, str) and isinstance(document.title, str)):
                raise SourceError(f"{self.path}, line {number}: text and title must be strings")
            if document.text.strip() or document.title.strip():
                yield document


class _IrDatasetsCorpus:
    """The documents of an ir_datasets data set, read anew at each iteration."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Document]:
        for entry in self._source.docs_iter():
            if text := entry.default_text().strip():
                yield Document(id=entry.doc_id, text=text)

    def __len__(self) -> int:
        return int(self._source.docs_count())


def load_beir(folder: str | Path, *, split: str = "test") -> Dataset:
    """Read a BEIR folder: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``.

    :param folder: the folder.
    :param split: which judgments.
    :return: the judged queries and the corpus, which is read when it is iterated.
    :raises SourceError: if a file is missing or malformed; the message names it.
    """
    root = Path(folder)
    judgments = root / "qrels" / f"{split}.tsv"
    missing = [
        str(path) for path in (root / "corpus.jsonl", root / "queries.jsonl", judgments) if not path.is_file()
    ]
    if missing:
        raise SourceError(
            f"{root} is not a BEIR folder: {', '.join(missing)} not found; "
            "expected corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv"
        )
    return _judged(
        root.resolve().name,
        read_beir_queries(root / "queries.jsonl"),
        read_qrels(judgments),
        BeirCorpus(root / "corpus.jsonl"),
    )


def read_beir_queries(path: str | Path) -> dict[str, str]:
    """Read queries from JSON lines of ``{"_id", "text"}``.

    :param path: the file.
    :return: query id to text.
    :raises SourceError: if the file cannot be read or a line lacks one of the two.
    """
    queries = {}
    for number, line in _json_lines(Path(path)):
        if "_id" not in line or not str(line.get("text") or "").strip():
            raise SourceError(f"{path}, line {number}: a query needs _id and a text that is not empty")
        queries[str(line["_id"])] = str(line["text"])
    return queries


def load_topics(queries: str | Path, qrels: str | Path, *, name: str | None = None) -> Dataset:
    """Read queries and TREC judgments for an existing collection.

    :param queries: JSON lines of ``{"_id", "text"}``, or lines of id, tab, text.
    :param qrels: TREC or BEIR judgments.
    :param name: of the data set; the judgments' file name without one.
    :return: the judged queries, without a corpus.
    :raises SourceError: if a file cannot be read or is malformed.
    """
    path = Path(queries)
    texts = read_beir_queries(path) if path.suffix in {".jsonl", ".json"} else _tab_queries(path)
    return _judged(name or Path(qrels).stem, texts, read_qrels(qrels), None)


def load_questions(path: str | Path) -> Dataset:
    """Read one's own questions for an existing collection from a CSV file.

    Columns ``question`` and ``document_id``, optionally ``grade`` (1 without it). A question with several
    relevant documents takes several lines.

    :param path: the file, with a header line.
    :return: the questions as judged queries named Q1, Q2, ... in the order of the file, without a corpus.
    :raises SourceError: if the file cannot be read, a column is missing, or a line is not complete.
    """
    source = Path(path)
    try:
        with source.open(encoding="utf-8-sig", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    if not rows:
        raise SourceError(
            f"{path} has no questions: expected a header (question,document_id) and lines under it"
        )
    question, document, grade = _columns(source, list(rows[0]))
    ids: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    for number, row in enumerate(rows, 2):
        text, relevant = (row[question] or "").strip(), (row[document] or "").strip()
        if not text or not relevant:
            raise SourceError(f"{path}, line {number}: the question or its document id is empty")
        query = ids.setdefault(text, f"Q{len(ids) + 1}")
        qrels.setdefault(query, {})[relevant] = _grade(source, number, row[grade]) if grade else 1
    return Dataset(source.stem, {query: text for text, query in ids.items()}, qrels)


def load_ir_datasets(identifier: str) -> Dataset:
    """Load a data set by its ir_datasets id, downloading it where the machine has the network.

    :param identifier: such as "beir/scifact/test", with or without the "irds:" prefix.
    :return: the judged queries and the corpus.
    :raises MissingExtraError: if ir_datasets is not installed.
    :raises SourceError: if there is no such data set, it has no judgments, or it cannot be downloaded.
    """
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingExtraError(
            "data sets by id need ir_datasets: pip install 'two-stage-retriever[datasets]'"
        ) from error
    identifier = identifier.removeprefix(IR_DATASETS_PREFIX)
    try:
        source = ir_datasets.load(identifier)
    except KeyError:
        raise SourceError(
            f"ir_datasets knows no '{identifier}'; its catalogue is at ir-datasets.com"
        ) from None
    if not (source.has_queries() and source.has_qrels() and source.has_docs()):
        raise SourceError(
            f"'{identifier}' has no queries, judgments or documents; take one of its judged splits"
        )
    try:
        queries = {query.query_id: query.default_text() for query in source.queries_iter()}
        qrels: dict[str, dict[str, int]] = {}
        for judged in source.qrels_iter():
            qrels.setdefault(judged.query_id, {})[judged.doc_id] = int(judged.relevance)
    except (OSError, RuntimeError) as error:
        raise SourceError(f"'{identifier}' cannot be downloaded ({error}); check the network") from error
    return _judged(identifier, queries, qrels, _IrDatasetsCorpus(source))


def write_beir(folder: str | Path, dataset: Dataset, *, split: str = "test") -> None:
    """Write a data set as a BEIR folder.

    :param folder: made where absent; files in it of the same names are replaced.
    :param dataset: with its documents.
    :param split: name of the judgments' file.
    :raises InvalidInputError: if the data set has no documents of its own.
    """
    if dataset.documents is None:
        raise InvalidInputError(f"{dataset.name} has no documents of its own to write")
    root = Path(folder)
    (root / "qrels").mkdir(parents=True, exist_ok=True)
    with (root / "corpus.jsonl").open("w", encoding="utf-8") as out:
        for document in dataset.documents:
            line = {"_id": document.id, "title": document.title, "text": document.text}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    with (root / "queries.jsonl").open("w", encoding="utf-8") as out:
        for query, text in dataset.queries.items():
            out.write(json.dumps({"_id": query, "text": text}, ensure_ascii=False) + "\n")
    with (root / "qrels" / f"{split}.tsv").open("w", encoding="utf-8") as out:
        out.write("query-id\tcorpus-id\tscore\n")
        for query, grades in dataset.qrels.items():
            out.writelines(f"{query}\t{document}\t{grade}\n" for document, grade in grades.items())


def _judged(
    name: str, texts: Mapping[str, str], qrels: Qrels, documents: Iterable[Document] | None
) -> Dataset:
    """Keep the queries that have both a text and judgments."""
    both = [query for query in qrels if query in texts]
    if not both:
        raise SourceError(
            f"{name}: no query has both a text and judgments; check that both use the same query ids"
        )
    return Dataset(
        name,
        {query: texts[query] for query in both},
        {query: qrels[query] for query in both},
        documents,
        tuple(query for query in qrels if query not in texts),
    )


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line numbers and objects, or say which line is none."""
    try:
        with path.open(encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                if not line.strip():
                    continue
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise SourceError(f"{path}, line {number}: expected a JSON object")
                yield number, value
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    except json.JSONDecodeError as error:
        raise SourceError(f"{path}, line {number}: not JSON ({error})") from error


def _tab_queries(path: Path) -> dict[str, str]:
    """Read lines of id, tab, text."""
    queries = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        query, separator, text = line.partition("\t")
        if not separator or not text.strip():
            raise SourceError(f"{path}, line {number}: expected a query id, a tab and the query's text")
        queries[query] = text.strip()
    return queries


def _columns(path: Path, header: list[str]) -> tuple[str, str, str | None]:
    """Find the question, document and grade columns by their usual names."""
    names = {(column or "").strip().lower(): column for column in header}

    def first(candidates: tuple[str, ...]) -> str | None:
        return next((names[candidate] for candidate in candidates if candidate in names), None)

    question, document = first(_QUESTION_COLUMNS), first(_DOCUMENT_COLUMNS)
    if question is None or document is None:
        raise SourceError(
            f"{path} has the columns {', '.join(map(str, header))}; "
            "expected question and document_id (and optionally grade)"
        )
    return question, document, first(_GRADE_COLUMNS)


def _grade(path: Path, number: int, value: str | None) -> int:
    """Read a grade, or say on which line it is none."""
    try:
        return int(value or "1")
    except ValueError:
        raise SourceError(f"{path}, line {number}: the grade '{value}' is not a whole number") from None
