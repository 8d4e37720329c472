"""BM25 with English stemming, kept by tantivy in memory or on disk."""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tantivy
from numpy.typing import NDArray

from retriever.errors import CorruptCollectionError, StorageFullError, rebuild_remedy
from retriever.lexical.pending import PendingPassages
from retriever.lexical.segment_files import remove_uncommitted
from retriever.lexical.stemming import Stemmer

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Ranked = tuple[IntArray, FloatArray]

_ANALYZER = "english"
_LONGEST_WORD = 60  # characters; longer runs are base64 or hashes that nobody types
_WRITER_MEMORY = 128_000_000  # bytes before tantivy writes a segment
_AT_ONCE = 200  # passage ids in one query; 0.7 ms, and with 2,000 in one it is 16 ms
_PENDING = 2_000  # changes seen before a commit; they cost a search about a microsecond each
_AVERAGE = re.compile(r'"value": ([0-9.]+),\s*"description": "avgdl')
_SPARE = 1.3  # times the hits that a filter needs on average
_COST_OF_ASKING = 7  # times the cost of one more hit that one more passage id in the query has


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


def _at_spaces() -> tantivy.TextAnalyzer:
    """Return what splits stems that have spaces between."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()


class BM25Index:
    """BM25 (k1 = 1.2, b = 0.75) over passages, keyed by passage id.

    Stop words are indexed but asked for only when a query has nothing else, so that "The Who" is found.
    A few changes are seen at once, many after `commit`; `visible` tells. Not thread-safe for writes.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.

    :param path: folder of the index, made if absent; None keeps it in memory.
    :raises CorruptCollectionError: if the folder cannot be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("pid", indexed=True, fast=True)
        schema.add_text_field("text", tokenizer_name=_ANALYZER, index_option="freq")
        with _reported(path, "read"):
            if path is None:
                self._index = tantivy.Index(schema.build())
            else:
                path.mkdir(parents=True, exist_ok=True)
                self._index = tantivy.Index(schema.build(), path=str(path))
        self._words = analyzer(drop_stop_words=True)
        self._all_words = analyzer(drop_stop_words=False)
        # Otherwise a thread of its own reads the files whenever they change, also after `close`.
        self._index.config_reader("manual")
        # The index is given stems, made by a faster hand.
        self._index.register_tokenizer(_ANALYZER, _at_spaces())
        self._stemmer = Stemmer(self._all_words)
        self._schema = self._index.schema
        self._writer: tantivy.IndexWriter | None = None
        self._committing = threading.Lock()
        self._searcher = self._index.searcher()
        self._pending = PendingPassages()
        self._average: float | None = None
        self.visible = True

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    @property
    def uncommitted(self) -> int:
        """How many changes are only in memory, as far as they are counted."""
        return len(self._pending) if self.visible else _PENDING

    def stem(self, texts: Sequence[str]) -> list[str]:
        """Return each text's stems with spaces between, as `add_stemmed` takes them. Safe in any thread."""
        return self._stemmer.stem(texts)

    def add(self, pids: IntArray, texts: Sequence[str]) -> None:
        """Add passages under new ids."""
        self.add_stemmed(pids, self.stem(texts))

    def add_stemmed(self, pids: IntArray, stems: Sequence[str]) -> None:
        """Add passages under new ids, their texts given as `stem` made them."""
        writer = self._writing()
        self._show(len(pids))
        if self.visible:
            self._pending.add(pids, stems)
        for pid, words in zip(pids.tolist(), stems, strict=True):
            document = tantivy.Document()
            document.add_unsigned("pid", pid)
            document.add_text("text", words)
            writer.add_document(document)

    def remove(self, pids: IntArray) -> None:
        """Remove passages; ids that are not there are passed over."""
        self._show(len(pids))
        if self.visible:
            self._pending.remove(pids)
        for start in range(0, len(pids), _AT_ONCE):
            # Not delete_documents_by_term: it takes a Python int for a signed one, and deletes nothing.
            self._writing().delete_documents_by_query(self._any_of(pids[start : start + _AT_ONCE]))

    def _show(self, count: int) -> None:
        """Give up showing changes at once when there are so many that word statistics would be off."""
        most = 0 if self._path is None else min(_PENDING, len(self) // 10)
        if len(self._pending) + count > most:
            self.visible = False

    def write(self) -> None:
        """Make all changes so far durable. Searches may go on, and see them as before.

        :raises StorageFullError: if the disk is full.
        """
        if self._writer is None:
            return
        # A search that needs the last changes may commit while a timer does; tantivy raises then.
        with _reported(self._path, "written"), self._committing:
            self._writer.commit()

    def commit(self) -> None:
        """Make all changes so far durable and visible. No search may go on.

        :raises StorageFullError: if the disk is full.
        """
        self.write()
        self.reload()

    def reload(self) -> None:
        """See what has been committed, also by another process. No search may go on.

        :raises CorruptCollectionError: if a file cannot be read.
        """
        with _reported(self._path, "read"):
            self._index.reload()
            self._searcher = self._index.searcher()
        self._pending = PendingPassages()
        self._average, self.visible = None, True

    def search(self, query: str, k: int, *, allowed: IntArray | None = None) -> Ranked:
        """Return ids and BM25 scores of the passages that share a word with the query, best first.

        :param k: at most this many.
        :param allowed: only these passage ids; None for all.
        """
        *_, found = self._search(query, k, allowed, None)
        return found

    def search_widening(self, query: str, k: int, *, allowed: IntArray, first: int) -> Iterator[Ranked]:
        """Yield ever longer beginnings of what `search` returns under a filter, the last of them all of it.

        A filter that leaves few passages is answered from a long list of all, which takes longer than all
        the rest of a search. Who needs less than the whole answer stops early.

        :param first: about as many passages come at first.
        """
        # What is pending would stand on a short list though better ones are yet to be found.
        return self._search(query, k, allowed, None if len(self._pending) else first)

    def _search(self, query: str, k: int, allowed: IntArray | None, first: int | None) -> Iterator[Ranked]:
        words = self._asked(query)
        if not words or k <= 0 or (allowed is not None and len(allowed) == 0):
            yield np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
            return
        # Passages removed since the last commit are still found, and left out here.
        wide = k + len(self._pending.removed)
        if allowed is None:
            steps = iter([self._hits(self._asking(words), wide)])
        else:
            steps = self._hits_among(words, wide, allowed, first)
        for found in steps:
            pids, scores = self._with_pending(words, found, allowed)
            # Ties go to the older passage, whatever segment it lies in.
            order = np.lexsort((pids, -scores))[:k]
            yield pids[order], scores[order]

    def score(self, query: str, pids: IntArray) -> FloatArray:
        """Return the BM25 scores of given passages, ascending by id; 0 where no word is shared."""
        scores = np.zeros(len(pids), dtype=np.float32)
        words = self._asked(query)
        if words and len(pids):
            found, values = self._with_pending(words, self._hits_of(words, pids, len(pids)), pids)
            scores[np.searchsorted(pids, found)] = values
        return scores

    def _with_pending(self, words: Sequence[str], found: Ranked, allowed: IntArray | None) -> Ranked:
        """Leave out what was removed since the last commit, and put in what was added."""
        if not len(self._pending):
            return found
        pids, scores = found
        if self._pending.removed:
            kept = ~np.isin(pids, np.fromiter(self._pending.removed, dtype=np.int64))
            pids, scores = pids[kept], scores[kept]
        added = self._pending.search(words, self._idf, self._average_length(), allowed)
        return np.concatenate([pids, added[0]]), np.concatenate([scores, added[1]])

    def _idf(self, word: str) -> float:
        """Return a word's inverse document frequency, log(1 + (N - df + 0.5) / (df + 0.5))."""
        frequency = self._searcher.doc_freq("text", word)
        return math.log1p((max(len(self), frequency) - frequency + 0.5) / (frequency + 0.5))

    def _average_length(self) -> float:
        """Return the mean number of words of a passage, as the index has it."""
        if self._average is None:
            self._average = self._explained_length() or self._pending.average_length()
        return self._average

    def _explained_length(self) -> float | None:
        """Take the mean length out of the explanation of any score: it is to be had nowhere else."""
        for word in self._pending.words():
            query = tantivy.Query.term_query(self._schema, "text", word, "freq")
            for _, address in self._searcher.search(query, 1, count=False).hits:
                found = _AVERAGE.search(query.explain(self._searcher, address).to_json())
                return float(found[1]) if found else None
        return None

    def spread(self, query: str) -> float:
        """Return about the standard deviation of a query's BM25 scores over all passages.

        A passage has word w with probability p = df / N and then scores about idf(w); for independent words
        the variance is the sum of p (1 - p) idf(w)². Ranking needs the scale only, so this need not be exact.
        """
        total = len(self)
        variance = 0.0
        for word, count in Counter(self._asked(query)).items():
            # Deleted passages are counted until their segment is written anew.
            frequency = min(total, self._searcher.doc_freq("text", word))
            share = frequency / total if total else 0.0
            variance += share * (1.0 - share) * (count * self._idf(word)) ** 2
        return math.sqrt(variance)

    def _asked(self, query: str) -> list[str]:
        """Return the stems a query asks for, stop words only where there is nothing else."""
        words: list[str] = self._words.analyze(query) or self._all_words.analyze(query)
        return words

    def _asking(self, words: Sequence[str]) -> tantivy.Query:
        """Ask for any of the words."""
        should = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "text", word, "freq"))
            for word in words
        ]
        return tantivy.Query.boolean_query(should)

    def _any_of(self, pids: IntArray) -> tantivy.Query:
        """Ask for passages by id. Not as a set of terms: tantivy walks the whole dictionary for that."""
        should = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "pid", pid))
            for pid in pids.tolist()
        ]
        return tantivy.Query.const_score_query(tantivy.Query.boolean_query(should), 0.0)

    def _hits_among(
        self, words: Sequence[str], k: int, allowed: IntArray, first: int | None
    ) -> Iterator[Ranked]:
        """Search under a filter: ask for the allowed passages, or, where they are many, for enough of all."""
        share = len(allowed) / max(1, len(self))
        wanted = min(k, len(allowed))
        enough, fetch = (
            int(_SPARE * count / max(share, 1e-9)) + _AT_ONCE
            for count in (wanted, wanted if first is None else min(first, wanted))
        )
        if len(allowed) * _COST_OF_ASKING < enough:
            yield self._hits_of(words, allowed, k)
            return
        query = self._asking(words)
        while True:
            pids, scores = self._hits(query, fetch)
            kept = np.flatnonzero(_members(pids, allowed))[:wanted]
            # They come best first, so what was not fetched is no better.
            yield pids[kept], scores[kept]
            if len(kept) == wanted or len(pids) < fetch:
                return
            fetch = 4 * fetch if fetch >= enough else min(4 * fetch, enough)

    def _hits_of(self, words: Sequence[str], pids: IntArray, k: int) -> Ranked:
        """Search some passages only, a few at a time: the time grows with the square of their number."""
        asked = (tantivy.Occur.Must, self._asking(words))
        parts = [
            self._hits(
                tantivy.Query.boolean_query(
                    [asked, (tantivy.Occur.Must, self._any_of(pids[i : i + _AT_ONCE]))]
                ),
                min(k, _AT_ONCE),
            )
            for i in range(0, len(pids), _AT_ONCE)
        ]
        found = np.concatenate([part[0] for part in parts])
        scores = np.concatenate([part[1] for part in parts])
        best = np.lexsort((found, -scores))[:k]
        return found[best], scores[best]

    def _hits(self, query: tantivy.Query, k: int) -> Ranked:
        searcher = self._searcher
        hits = searcher.search(query, k, count=False).hits
        if not hits:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        pids = np.asarray(searcher.fast_field_values("pid", [address for _, address in hits]), dtype=np.int64)
        return pids, np.asarray([score for score, _ in hits], dtype=np.float32)

    def clear(self) -> None:
        """Remove every passage, as part of the next commit."""
        self.visible = False
        self._writing().delete_all_documents()

    def collect_garbage(self) -> None:
        """Delete files that no search needs any more."""
        self._writing().garbage_collect_files()

    def close(self) -> None:
        """Give the folder's lock back; uncommitted changes are dropped."""
        if self._writer is not None:
            # No rollback: merges under way would run on and write files, and nobody would wait for them.
            self._writer.wait_merging_threads()
            self._writer = None

    def _writing(self) -> tantivy.IndexWriter:
        """Return the writer; it holds tantivy's lock on the folder, so it is taken at the first change."""
        if self._writer is None:
            if self._path is not None:
                remove_uncommitted(self._path)
            # One thread: segments, and with them ties, come out the same every time.
            self._writer = self._index.writer(_WRITER_MEMORY, 1)
            # A writer's first operation has the last commit's number, so that a merge which begins before the
            # next commit takes a deletion for done that is not. The first one deletes nothing, then.
            self._writer.delete_documents_by_query(tantivy.Query.empty_query())
        return self._writer


@contextmanager
def _reported(path: Path | None, done: str) -> Iterator[None]:
    """Turn what tantivy raises for damaged files and full disks into errors of ours."""
    try:
        yield
    except BaseException as error:
        # On some damage it panics, an error with no class to import.
        if not isinstance(error, ValueError | OSError) and type(error).__name__ != "PanicException":
            raise
        if "No space left" in str(error):
            raise StorageFullError(f"the disk holding {path} is full; free some space") from error
        remedy = rebuild_remedy(None if path is None else path.parent)
        raise CorruptCollectionError(f"{path} cannot be {done} ({error}); {remedy}") from error


def _members(pids: IntArray, allowed: IntArray) -> NDArray[np.bool_]:
    """Tell which ids are in an ascending array."""
    places = np.searchsorted(allowed, pids)
    places[places == len(allowed)] = 0
    members: NDArray[np.bool_] = allowed[places] == pids
    return members
