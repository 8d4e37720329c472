"""BM25 with English stemming, kept by tantivy in memory or on disk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tantivy
from numpy.typing import NDArray

from retriever.errors import CorruptCollectionError, StorageFullError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Ranked = tuple[IntArray, FloatArray]

_ANALYZER = "english"
_LONGEST_WORD = 60  # characters; longer runs are base64 or hashes that nobody types
_WRITER_MEMORY = 128_000_000  # bytes before tantivy writes a segment


def analyzer(*, drop_stop_words: bool) -> tantivy.TextAnalyzer:
    """Return what splits a text at non-alphanumerics, lowercases, folds accents and stems.

    :param drop_stop_words: whether English words such as "the" are left out.
    """
    builder = (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(_LONGEST_WORD))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
    )
    if drop_stop_words:
        builder = builder.filter(tantivy.Filter.stopword("English"))
    return builder.filter(tantivy.Filter.stemmer("English")).build()


class BM25Index:
    """BM25 (k1 = 1.2, b = 0.75) over passages, keyed by passage id.

    Stop words are indexed but asked for only when a query has nothing else, so that "The Who" is found.
    Changes are seen by `search` after `commit`. Not thread-safe for writes.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.

    :param path: folder of the index, made if absent; None keeps it in memory.
    :raises CorruptCollectionError: if the folder cannot be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("pid", indexed=True, fast=True)
        schema.add_text_field("text", tokenizer_name=_ANALYZER, index_option="freq")
        try:
            if path is None:
                self._index = tantivy.Index(schema.build())
            else:
                path.mkdir(parents=True, exist_ok=True)
                self._index = tantivy.Index(schema.build(), path=str(path))
        except (ValueError, OSError) as error:
            raise CorruptCollectionError(f"{path} cannot be read ({error})") from error
        self._words = analyzer(drop_stop_words=True)
        self._all_words = analyzer(drop_stop_words=False)
        self._index.register_tokenizer(_ANALYZER, self._all_words)
        self._schema = self._index.schema
        self._writer: tantivy.IndexWriter | None = None
        self._searcher = self._index.searcher()

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def add(self, pids: IntArray, texts: Sequence[str]) -> None:
        """Add passages under new ids."""
        writer = self._writing()
        for pid, text in zip(pids.tolist(), texts, strict=True):
            document = tantivy.Document()
            document.add_unsigned("pid", pid)
            document.add_text("text", text)
            writer.add_document(document)

    def remove(self, pids: IntArray) -> None:
        """Remove passages; ids that are not there are passed over."""
        if len(pids):
            # Not delete_documents_by_term: it takes a Python int for a signed one, and deletes nothing.
            gone = tantivy.Query.term_set_query(self._schema, "pid", pids.tolist())
            self._writing().delete_documents_by_query(gone)

    def commit(self) -> None:
        """Make all changes so far durable and visible.

        :raises StorageFullError: if the disk is full.
        """
        if self._writer is None:
            return
        try:
            self._writer.commit()
        except (ValueError, OSError) as error:
            if "No space left" in str(error):
                raise StorageFullError(f"the disk holding {self._path} is full; free some space") from error
            raise CorruptCollectionError(f"{self._path} cannot be written ({error})") from error
        self.reload()

    def reload(self) -> None:
        """See what has been committed, also by another process."""
        self._index.reload()
        self._searcher = self._index.searcher()

    def search(self, query: str, k: int, *, allowed: IntArray | None = None) -> Ranked:
        """Return ids and BM25 scores of the passages that share a word with the query, best first.

        :param k: at most this many.
        :param allowed: only these passage ids; None for all.
        """
        words = self._asked(query)
        if not words or k <= 0 or (allowed is not None and len(allowed) == 0):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        pids, scores = self._hits(self._query(words, allowed), k)
        # Ties go to the older passage, whatever segment it lies in.
        order = np.lexsort((pids, -scores))
        return pids[order], scores[order]

    def score(self, query: str, pids: IntArray) -> FloatArray:
        """Return the BM25 scores of given passages, ascending by id; 0 where no word is shared."""
        scores = np.zeros(len(pids), dtype=np.float32)
        words = self._asked(query)
        if words and len(pids):
            found, values = self._hits(self._query(words, pids), len(pids))
            scores[np.searchsorted(pids, found)] = values
        return scores

    def spread(self, query: str) -> float:
        """Return about the standard deviation of a query's BM25 scores over all passages.

        A passage has word w with probability p = df / N and then scores about idf(w); for independent words
        the variance is the sum of p (1 - p) idf(w)². Ranking needs the scale only, so this need not be exact.
        """
        total = len(self)
        variance = 0.0
        for word, count in Counter(self._asked(query)).items():
            frequency = self._searcher.doc_freq("text", word)
            share = frequency / total if total else 0.0
            idf = math.log1p((total - frequency + 0.5) / (frequency + 0.5))
            variance += share * (1.0 - share) * (count * idf) ** 2
        return math.sqrt(variance)

    def _asked(self, query: str) -> list[str]:
        """Return the stems a query asks for, stop words only where there is nothing else."""
        words: list[str] = self._words.analyze(query) or self._all_words.analyze(query)
        return words

    def _query(self, words: Sequence[str], allowed: IntArray | None) -> tantivy.Query:
        """Ask for any of the words, inside the allowed passages."""
        schema = self._schema
        should = [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, "text", word, "freq")) for word in words
        ]
        asked = tantivy.Query.boolean_query(should)
        if allowed is None:
            return asked
        among = tantivy.Query.const_score_query(
            tantivy.Query.term_set_query(schema, "pid", allowed.tolist()), 0.0
        )
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, asked), (tantivy.Occur.Must, among)])

    def _hits(self, query: tantivy.Query, k: int) -> Ranked:
        searcher = self._searcher
        hits = searcher.search(query, k, count=False).hits
        pids = np.asarray(searcher.fast_field_values("pid", [address for _, address in hits]), dtype=np.int64)
        return pids, np.asarray([score for score, _ in hits], dtype=np.float32)

    def close(self) -> None:
        """Give the folder's lock back; uncommitted changes are dropped."""
        if self._writer is not None:
            self._writer.rollback()
            self._writer.wait_merging_threads()
            self._writer = None

    def _writing(self) -> tantivy.IndexWriter:
        """Return the writer; it holds tantivy's lock on the folder, so it is taken at the first change."""
        if self._writer is None:
            # One thread: segments, and with them ties, come out the same every time.
            self._writer = self._index.writer(_WRITER_MEMORY, 1)
        return self._writer
