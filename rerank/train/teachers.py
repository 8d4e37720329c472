"""Teachers: sentence encoders whose similarities the student also learns from, with vectors kept on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.errors import InvalidInputError, MissingExtraError

BLOCK = 4096  # texts encoded between two writes: what a kill can cost
MAX_LENGTH = 96


class TeacherVectors:
    """L2-normalised vectors of one sentence encoder, computed once a text and kept in a folder.

    The folder holds `keys.bin` (uint64, the first eight bytes of a text's BLAKE2b) and `vectors.bin`
    (float16 rows in the same order), which only grow, and `meta.json`.

    :param model: folder or hub id of a sentence-transformers model.
    :param cache: folder of the vectors; made if it is not there.
    :param max_length: tokens read of a text.
    :raises MissingExtraError: if sentence-transformers is not installed.
    :raises InvalidInputError: if the folder holds another teacher's vectors.
    """

    def __init__(self, model: str | Path, cache: Path, *, max_length: int = MAX_LENGTH) -> None:
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError(
                "teacher scores need sentence-transformers: pip install 'two-stage-retriever[train]'"
            ) from error
        self._model: Any = SentenceTransformer(
            str(model),
            device="cuda" if torch.cuda.is_available() else "cpu",
            model_kwargs={"dtype": torch.bfloat16},
        )
        self._model.max_seq_length = max_length
        self._dimensions = int(self._model.get_sentence_embedding_dimension() or 0)
        cache.mkdir(parents=True, exist_ok=True)
        meta = {"teacher": str(Path(model).name), "dimensions": self._dimensions, "max_length": max_length}
        path = cache / "meta.json"
        if not path.exists():
            path.write_text(json.dumps(meta), encoding="utf-8")
        if json.loads(path.read_text(encoding="utf-8")) != meta:
            raise InvalidInputError(f"{cache} holds vectors of another teacher or length; use another folder")
        self._keys, self._rows = cache / "keys.bin", cache / "vectors.bin"
        self._keys.touch()
        self._rows.touch()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' vectors, encoding those that are new.

        :param texts: n texts.
        :return: float32 (n, dimensions), rows of length 1.
        """
        keys = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]
        place = self._places()
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in place}
        for start in range(0, len(missing), BLOCK):
            block = list(missing.items())[start : start + BLOCK]
            self._append([key for key, _ in block], [text for _, text in block])
        place = self._places()
        rows = np.memmap(self._rows, np.float16, "r", shape=(len(place), self._dimensions))
        picked: NDArray[np.float32] = rows[[place[key] for key in keys]].astype(np.float32)
        picked /= np.linalg.norm(picked, axis=1, keepdims=True).clip(1e-9)
        return picked

    def _places(self) -> dict[int, int]:
        """Row of each key, whole rows only."""
        whole = min(self._keys.stat().st_size // 8, self._rows.stat().st_size // (2 * self._dimensions))
        return {int(key): row for row, key in enumerate(np.fromfile(self._keys, "<u8", whole))}

    def _append(self, keys: list[int], texts: list[str]) -> None:
        """Encode a block and write it, vectors first: a key without its vector would be a lie."""
        vectors = self._model.encode(
            texts, batch_size=64, normalize_embeddings=True, convert_to_tensor=True, show_progress_bar=False
        )
        whole = len(self._places())
        for path, width in ((self._rows, 2 * self._dimensions), (self._keys, 8)):
            with path.open("r+b") as file:  # cut what a killed process left half written
                file.truncate(whole * width)
        with self._rows.open("ab") as file:
            file.write(vectors.float().cpu().numpy().astype(np.float16).tobytes())
        with self._keys.open("ab") as file:
            file.write(np.array(keys, dtype="<u8").tobytes())
