"""Teachers: sentence encoders, and BM25, whose order is learnt, too; their vectors are kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.errors import InvalidInputError, MissingExtraError
from rerank.sentence_models import fingerprint_of, load_sentence_model
from rerank.train.lists import RankingList

BLOCK = 1024  # texts encoded between two writes: what a kill can cost
MAX_LENGTH = 96
BM25 = "bm25"


def with_teachers(
    lists: Sequence[RankingList],
    teachers: Sequence[str | Path | TeacherVectors],
    cache: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[RankingList]:
    """Have teachers score the passages of lists.

    :param lists: of any kind; scores that they have stay, and are not made again.
    :param teachers: folders or hub ids of sentence-transformers models, scores being cosines; "bm25" for that
        of all passages together; or a name that every list has scores of. A loaded one is not loaded again.
    :param cache: folder for the teachers' vectors, one in it for each; what is there is not encoded again.
    :param progress: called with how many texts a teacher has read, and how many it has to.
    :return: the lists, each with a score a passage and teacher, by the last part of the teacher's name.
    :raises MissingExtraError: if sentence-transformers or bm25s is not installed.
    :raises ModelNotFoundError: if there is no model of a name.
    """
    found = list(lists)
    for teacher in teachers:
        name = teacher.name if isinstance(teacher, TeacherVectors) else Path(teacher).name
        if all(name in one.teachers for one in found):
            continue
        if name == BM25:
            scored = _lexical(found)
        else:
            known = teacher if isinstance(teacher, TeacherVectors) else TeacherVectors(teacher, cache / name)
            scored = _cosines(found, known, progress)
        found = [
            replace(one, teachers={**one.teachers, name: tuple(scores.tolist())})
            for one, scores in zip(found, scored, strict=True)
        ]
    return found


def _lexical(lists: Sequence[RankingList]) -> list[NDArray[np.float32]]:
    """BM25 of each list's passages, in the pool of all."""
    try:
        import bm25s
    except ImportError as error:
        raise MissingExtraError(
            "the teacher 'bm25' needs bm25s: pip install 'two-stage-retriever[train]'"
        ) from error
    pool = list(dict.fromkeys(text for one in lists for text in one.passages))
    place = {text: row for row, text in enumerate(pool)}
    index = bm25s.BM25()
    index.index(bm25s.tokenize(pool, stopwords="en", show_progress=False), show_progress=False)
    scored = []
    for one in lists:
        words = bm25s.tokenize([one.query], stopwords="en", return_ids=False, show_progress=False)[0]
        every = index.get_scores(words) if words else np.zeros(len(pool), np.float32)
        scored.append(np.asarray(every[[place[text] for text in one.passages]], dtype=np.float32))
    return scored


def _cosines(
    lists: Sequence[RankingList],
    vectors: TeacherVectors,
    progress: Callable[[int, int], None] | None,
) -> list[NDArray[np.float32]]:
    """Cosine of each list's query and its passages."""
    texts = list(dict.fromkeys(text for one in lists for text in (one.query, *one.passages)))
    place = {text: row for row, text in enumerate(texts)}
    rows = vectors(texts, progress=progress)
    return [rows[[place[text] for text in one.passages]] @ rows[place[one.query]] for one in lists]


class TeacherVectors:
    """L2-normalised vectors of one sentence encoder, computed once a text and kept in a folder.

    The folder holds `keys.bin` (uint64, the first eight bytes of a text's BLAKE2b) and `vectors.bin`
    (float16 rows in the same order), which only grow, and `meta.json`.

    :param model: folder or hub id of a sentence-transformers model.
    :param cache: folder of the vectors; made if it is not there.
    :param max_length: tokens read of a text.
    :raises MissingExtraError: if sentence-transformers is not installed.
    :raises ModelNotFoundError: if neither a folder nor a hub model has this name.
    :raises InvalidInputError: if the folder holds another teacher's vectors.
    """

    def __init__(self, model: str | Path, cache: Path, *, max_length: int = MAX_LENGTH) -> None:
        import torch

        self.name = Path(model).name
        self._model: Any = load_sentence_model("SentenceTransformer", model, device=None, called="teacher")
        fingerprint = fingerprint_of(self._model)
        self._model = self._model.to(torch.bfloat16)
        self._model.max_seq_length = max_length
        self._dimensions = self._encode([""]).shape[1]
        cache.mkdir(parents=True, exist_ok=True)
        meta = {"teacher": fingerprint, "dimensions": self._dimensions, "max_length": max_length}
        path = cache / "meta.json"
        if not path.exists():
            path.write_text(json.dumps(meta), encoding="utf-8")
        if json.loads(path.read_text(encoding="utf-8")) != meta:
            raise InvalidInputError(f"{cache} holds vectors of another teacher or length; use another folder")
        self._keys, self._rows = cache / "keys.bin", cache / "vectors.bin"
        self._keys.touch()
        self._rows.touch()

    def __call__(
        self, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return the texts' vectors, encoding those that are new.

        :param texts: n texts.
        :param progress: called with how many new texts are encoded, and how many there are.
        :return: float32 (n, dimensions), rows of length 1.
        """
        keys = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]
        place = self._places()
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in place}
        for start in range(0, len(missing), BLOCK):
            block = list(missing.items())[start : start + BLOCK]
            self._append([key for key, _ in block], [text for _, text in block])
            if progress is not None:
                progress(start + len(block), len(missing))
        place = self._places()
        rows = np.memmap(self._rows, np.float16, "r", shape=(len(place), self._dimensions))
        picked: NDArray[np.float32] = rows[[place[key] for key in keys]].astype(np.float32)
        picked /= np.linalg.norm(picked, axis=1, keepdims=True).clip(1e-9)
        return picked

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Vectors of texts, as they are kept."""
        vectors = self._model.encode(
            list(texts),
            batch_size=64,
            normalize_embeddings=True,
            convert_to_tensor=True,
            show_progress_bar=False,
        )
        kept: NDArray[np.float16] = vectors.float().cpu().numpy().astype(np.float16)
        return kept

    def _places(self) -> dict[int, int]:
        """Row of each key, whole rows only."""
        whole = min(self._keys.stat().st_size // 8, self._rows.stat().st_size // (2 * self._dimensions))
        return {int(key): row for row, key in enumerate(np.fromfile(self._keys, "<u8", whole))}

    def _append(self, keys: list[int], texts: list[str]) -> None:
        """Encode a block and write it, vectors first: a key without its vector would be a lie."""
        vectors = self._encode(texts)
        whole = len(self._places())
        for path, width in ((self._rows, 2 * self._dimensions), (self._keys, 8)):
            with path.open("r+b") as file:  # cut what a killed process left half written
                file.truncate(whole * width)
        with self._rows.open("ab") as file:
            file.write(vectors.tobytes())
        with self._keys.open("ab") as file:
            file.write(np.array(keys, dtype="<u8").tobytes())
