"""Make the ranking lists that the bundled rerankers learn from.

    python -m rerank.recipes.lists --data DATA --teacher all-MiniLM-L6-v2 --work WORK --out lists.jsonl.gz

Negatives are mined in the pool of each source by BM25 and the teacher's vectors together, from all ranks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.recipes.frames import framed, read_groups
from rerank.recipes.minimal_pairs import composed, disturbed
from rerank.recipes.relations import bound, related
from rerank.recipes.senses import ambiguous, read_words
from rerank.recipes.sources import (
    LISTS,
    POOL,
    SENTENCE_END,
    SHORTEST,
    Pair,
    pairs_of_paragraphs,
    read_pairs,
    sense_groups,
    word_glosses,
)
from rerank.train.lists import RankingList, write_lists
from rerank.train.negatives import draw_negatives
from rerank.train.teachers import TeacherVectors

# Short lists cost a tenth of a mined one, and an order of words takes many to learn.
FRAMED, AMBIGUOUS, COMPOSED, RELATED = 60_000, 8_000, 3_000, 4_000
BOUND, DISTURBED, SENSES = 1_500, 1_800, 900
SENTENCES_A_LIST = 8
MINED_KEPT = 12  # of so many mined lists one: reading them is what a training takes longest for
Vectors = Callable[[Sequence[str]], NDArray[np.float32]]


def mined_lists(
    kind: str, pairs: Sequence[Pair], distractors: Sequence[str], vectors: Vectors, rng: np.random.Generator
) -> Iterator[RankingList]:
    """Turn pairs into lists with negatives out of their own pool.

    :param kind: the name the lists carry.
    :param pairs: (query, positive).
    :param distractors: further passages of the pool.
    :param vectors: texts to L2-normalised vectors.
    :param rng: draws.
    :return: one list a pair that is kept, positive first, scored by the teacher ("cosine") and BM25 ("bm25").
    """
    import bm25s
    import Stemmer  # type: ignore[import-not-found, unused-ignore]

    pool = list(dict.fromkeys([positive for _, positive in pairs] + list(distractors)))
    place = {text: row for row, text in enumerate(pool)}
    relevant: dict[str, list[int]] = {}
    for query, positive in pairs:
        relevant.setdefault(query, []).append(place[positive])
    stem = Stemmer.Stemmer("english")
    index = bm25s.BM25()
    index.index(bm25s.tokenize(pool, stopwords="en", stemmer=stem, show_progress=False), show_progress=False)
    asked = [(query, positive) for query, positive in pairs if kept(query)]
    rows, queries = vectors(pool), vectors([query for query, _ in asked])
    for (query, positive), vector in zip(asked, queries, strict=True):
        cosine = rows @ vector
        words = bm25s.tokenize([query], stopwords="en", stemmer=stem, return_ids=False, show_progress=False)[
            0
        ]
        lexical = index.get_scores(words) if words else np.zeros(len(pool), np.float32)
        ranking = np.argsort(-(_z(cosine) + _z(lexical)), kind="stable")
        chosen = [place[positive]]
        likeness = rows @ rows[place[positive]]
        chosen += draw_negatives(ranking, positives=relevant[query], likeness=likeness, rng=rng)
        if len(chosen) < 2:
            continue
        yield RankingList(
            query,
            tuple(pool[row] for row in chosen),
            (1.0,) + (0.0,) * (len(chosen) - 1),
            {"cosine": _plain(cosine[chosen]), "bm25": _plain(lexical[chosen])},
            kind,
        )


def structure_lists(data: Path, rng: np.random.Generator) -> Iterator[RankingList]:
    """Make the lists whose passages share their words: made from frames, sentences and senses.

    :param data: folder of the training pairs.
    :param rng: draws.
    :return: lists without teacher scores; similarity has nothing to say on them.
    """
    groups, _ = read_groups()
    for _ in range(FRAMED):
        sort, example = framed(groups, rng)
        yield _one_right(*example, f"framed-{sort}")
    words, _ = read_words()
    for _ in range(AMBIGUOUS):
        yield _one_right(*ambiguous(words, rng), "ambiguous")
    for _ in range(COMPOSED):
        sort, (query, passages) = composed(rng)
        yield _one_right(query, passages, f"composed-{sort}")
    for _ in range(RELATED):
        kind, (query, passages) = related(rng)
        yield _one_right(query, passages, f"related-{kind}")
    glosses = word_glosses(data / "wordnet_glosses.jsonl.gz")
    for _ in range(BOUND):
        yield _one_right(*bound(glosses, rng), "bound")
    for query, passages in sense_groups(data / "wordnet_glosses.jsonl.gz", rng, SENSES):
        yield _one_right(query, passages, "senses")
    made = 0
    for _, text in pairs_of_paragraphs(data / "enwiki_passages.jsonl.gz", rng)["sentence"] * 4:
        sentences = SENTENCE_END.split(text.partition("\n")[2])
        at = int(rng.integers(len(sentences)))
        wrong = disturbed(sentences[at], rng)
        if wrong and len(sentences[at]) < 300:
            after = sentences[at + 1 : at + 2]
            passages = [" ".join([version, *after]) for version in (sentences[at], *wrong)]
            yield _one_right(sentences[at].rstrip("."), passages, "disturbed")
            made += 1
        if made == DISTURBED:
            return


def sentence_lists(mined: Sequence[RankingList], rng: np.random.Generator) -> Iterator[RankingList]:
    """Cut the passages of lists into sentences: nothing is known of which is right, and little to be said.

    Those of the right passage are wanted most: they are about what is asked, as are the wrong answers of a
    search among sentences.

    :param mined: lists of whole passages, the right one first.
    :param rng: draws.
    :return: lists without labels, on which a comparison only learns to keep quiet (`Settings.quiet_weight`):
        sentences of the right passage filled up with others, and others alone.
    """
    for one in mined:
        right, *others = (_sentences(passage) for passage in one.passages)
        rest = [text for sentences in others for text in sentences]
        for first in (right, []):
            drawn = [texts[row] for texts in (first, rest) for row in rng.permutation(len(texts))][
                :SENTENCES_A_LIST
            ]
            if len(drawn) > 1:
                yield RankingList(one.query, tuple(drawn), (0.0,) * len(drawn), {}, "sentences")


def _sentences(passage: str) -> list[str]:
    """Those of a passage that say something."""
    return [text for text in SENTENCE_END.split(passage) if len(text) >= SHORTEST]


def _one_right(query: str, passages: Sequence[str], kind: str) -> RankingList:
    """A list whose first passage is right."""
    return RankingList(query, tuple(passages), (1.0,) + (0.0,) * (len(passages) - 1), {}, kind)


def _z(scores: NDArray[Any]) -> NDArray[np.float32]:
    """Scores in standard deviations from their mean."""
    spread = max(float(scores.std()), 1e-6)
    standard: NDArray[np.float32] = ((scores - scores.mean()) / spread).astype(np.float32)
    return standard


def _plain(scores: NDArray[Any]) -> tuple[float, ...]:
    """Rounded plain floats: the file stays small."""
    return tuple(round(float(score), 4) for score in scores)


def _every_mined(data: Path, vectors: Vectors, rng: np.random.Generator, most: int) -> Iterator[RankingList]:
    """The mined lists of every source, in pools filled up to so many passages."""
    for name, count in LISTS.items():
        pairs = read_pairs(data / f"{name}.jsonl.gz", count, rng)
        wider = read_pairs(data / f"{name}.jsonl.gz", most, rng)
        distractors = [positive for _, positive in wider][: max(0, most - count)]
        yield from mined_lists(name, pairs, distractors, vectors, rng)
    for name, pairs in pairs_of_paragraphs(data / "enwiki_passages.jsonl.gz", rng).items():
        yield from mined_lists(name, pairs, [], vectors, rng)


def kept(query: str) -> bool:
    """Whether a query's list is among those mined: by its text alone."""
    return int(hashlib.md5(query.encode(), usedforsecurity=False).hexdigest(), 16) % MINED_KEPT == 0


def main() -> None:
    """Read the options and write the lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--teacher", required=True, help="folder or hub id of all-MiniLM-L6-v2")
    parser.add_argument("--work", type=Path, required=True, help="folder for the teacher's vectors")
    parser.add_argument("--out", type=Path, required=True, help="the lists, .jsonl or .jsonl.gz")
    parser.add_argument("--pool", type=int, default=POOL, help="passages of a file to mine in, at most")
    parser.add_argument("--short", type=float, default=1.0, help="share kept of the short lists")
    parser.add_argument("--sentences", action="store_true", help="lists of single sentences, too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    vectors = TeacherVectors(options.teacher, options.work)
    lists = list(_every_mined(options.data, vectors, rng, options.pool))
    if options.sentences:
        lists += list(sentence_lists(lists, np.random.default_rng((options.seed, 2))))
    rng = np.random.default_rng((options.seed, 1))  # these lists do not hang on how many were mined
    short = list(structure_lists(options.data, rng))
    lists += [short[row] for row in rng.permutation(len(short))[: round(options.short * len(short))]]
    shuffled = [lists[row] for row in rng.permutation(len(lists))]
    write_lists(options.out, shuffled)
    counts = Counter(one.kind for one in lists)
    print(json.dumps({"lists": len(lists), "kinds": counts}, indent=1))  # noqa: T201 -- the recipe's report


if __name__ == "__main__":
    main()
