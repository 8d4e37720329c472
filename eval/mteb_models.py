"""The encoder and the whole pipeline as models of MTEB, so that either can be put on its leaderboard.

Example::

    import mteb
    from eval.mteb_models import MtebPipeline, beir_task

    mteb.evaluate(MtebPipeline(), mteb.get_tasks(tasks=["SciFact"]))
    mteb.evaluate(MtebPipeline(), [beir_task("my_beir_folder")], cache=None)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.datasets import load_beir
from retriever import Retriever, RetrieverConfig, StaticEncoder
from retriever.config import BUNDLED
from retriever.errors import InvalidInputError, MissingExtraError
from retriever.types import Document

FloatArray = NDArray[np.float32]


class MtebEncoder:
    """A static encoder as MTEB's EncoderProtocol has it.

    :param model_name: "bundled", a folder or a hub id.
    :param revision: taken and passed over, as are the device and all else: there is nothing to choose.
    """

    def __init__(self, model_name: str = BUNDLED, revision: str | None = None, **_: Any) -> None:
        self._encoder = StaticEncoder.load(None if model_name == BUNDLED else model_name)
        self._name = model_name

    @property
    def mteb_model_meta(self) -> Any:
        """What MTEB writes beside the scores."""
        return _meta(
            f"two-stage-retriever/{Path(self._name).name}-encoder",
            self._encoder,
            framework=["NumPy", "safetensors"],
            model_type=["dense"],
        )

    def encode(self, inputs: Iterable[Mapping[str, Sequence[str]]], **_: Any) -> FloatArray:
        """Encode batches of texts.

        :param inputs: batches, each with the texts under "text".
        :return: float32, shape (n, dimensions), rows of length 1.
        """
        return self._encoder.encode([text for batch in inputs for text in batch["text"]])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return cosine similarities, shape (n, m), as the tensor that MTEB's search expects."""
        torch = _torch()
        return torch.as_tensor(np.asarray(embeddings1)) @ torch.as_tensor(np.asarray(embeddings2)).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the cosine similarity of each row with the same row of the other, shape (n,)."""
        torch = _torch()
        return (torch.as_tensor(np.asarray(embeddings1)) * torch.as_tensor(np.asarray(embeddings2))).sum(-1)


class MtebPipeline:
    """Both stages as MTEB's SearchProtocol has it.

    :param config: how to build and search; None for the defaults.
    """

    def __init__(self, config: RetrieverConfig | None = None) -> None:
        self._config = config or RetrieverConfig()
        self._retriever: Retriever | None = None

    @property
    def mteb_model_meta(self) -> Any:
        """What MTEB writes beside the scores."""
        encoder = StaticEncoder.load(None if self._config.encoder == BUNDLED else self._config.encoder)
        return _meta(
            "two-stage-retriever/pipeline",
            encoder,
            framework=["NumPy", "safetensors", "ONNX"],
            model_type=["dense", "sparse", "cross-encoder"][: 3 if self._config.reranker else 2],
            experiment_kwargs=self._config.model_dump(mode="json", exclude_defaults=True) or None,
        )

    def index(self, corpus: Iterable[Mapping[str, Any]], **_: Any) -> None:
        """Index a task's corpus in memory, in place of the one before.

        :param corpus: rows with "id", "text" and maybe "title".
        """
        self.close()
        documents = (
            Document(
                id=str(row["id"]), text=row.get("text") or row.get("body") or "", title=row.get("title") or ""
            )
            for row in corpus
        )
        self._retriever = Retriever.from_corpus(
            (document for document in documents if document.text.strip() or document.title.strip()),
            config=self._config,
        )

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Answer a task's queries.

        :param queries: rows with "id" and "text".
        :param top_k: documents wanted for each query.
        :param top_ranked: for reranking tasks, the documents to order for each query.
        :return: query id to document id to score.
        :raises InvalidInputError: if nothing was indexed before.
        """
        if self._retriever is None:
            raise InvalidInputError("nothing is indexed; call index before search, as mteb.evaluate does")
        asked = {str(row["id"]): str(row["text"]) for row in queries}
        if top_ranked is not None:
            return {query: self._order(text, top_ranked[query]) for query, text in asked.items()}
        found = self._retriever.search_batch(list(asked.values()), k=top_k)
        return {
            query: {result.id: result.score for result in results}
            for query, results in zip(asked, found, strict=True)
        }

    def close(self) -> None:
        """Let go of the index."""
        if self._retriever is not None:
            self._retriever.close()
            self._retriever = None

    def _order(self, query: str, ids: Sequence[str]) -> dict[str, float]:
        """Score given documents: by the reranker, or by the encoder where there is none."""
        retriever = self._retriever
        if retriever is None or not ids:
            return {}
        documents = [retriever.get(id) for id in ids if id in retriever]
        texts = [f"{document.title} {document.text}".strip() for document in documents]
        if retriever.reranker is not None:
            scores = retriever.reranker.score(query, texts)
        else:
            scores = retriever.encoder.encode(texts) @ retriever.encoder.encode(query)
        return {document.id: float(score) for document, score in zip(documents, scores, strict=True)}


def beir_task(folder: str | Path, *, split: str = "test") -> Any:
    """Make an MTEB retrieval task out of a BEIR folder.

    :param folder: with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``.
    :param split: which judgments.
    :return: the task, for ``mteb.evaluate``.
    :raises SourceError: if the folder is no BEIR folder.
    :raises MissingExtraError: if mteb is not installed.
    """
    _mteb()
    from datasets import Dataset as Rows
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    dataset = load_beir(folder, split=split)

    class BeirTask(AbsTaskRetrieval):  # type: ignore[misc, unused-ignore]
        metadata = TaskMetadata(
            name=dataset.name,
            description=f"The BEIR folder {dataset.name}.",
            dataset={"path": dataset.name, "revision": "local"},
            type="Retrieval",
            category="t2t",
            eval_splits=[split],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, *_: Any, **__: Any) -> None:
            corpus = [{"id": d.id, "title": d.title, "text": d.text} for d in dataset.documents or ()]
            queries = [{"id": query, "text": text} for query, text in dataset.queries.items()]
            self.dataset = {
                "default": {
                    split: {
                        "corpus": Rows.from_list(corpus),
                        "queries": Rows.from_list(queries),
                        "relevant_docs": {query: dict(grades) for query, grades in dataset.qrels.items()},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return BeirTask()


def _meta(name: str, encoder: StaticEncoder, **details: Any) -> Any:
    """Fill in MTEB's form; what nobody measured stays None."""
    _mteb()
    from mteb.models.model_meta import ModelMeta, ScoringFunction

    form = {
        "loader": None,
        "name": name,
        "revision": encoder.fingerprint,
        "release_date": None,
        "languages": ["eng-Latn"],
        "n_parameters": None,
        "memory_usage_mb": None,
        "max_tokens": None,
        "embed_dim": encoder.dimensions,
        "license": "apache-2.0",
        "open_weights": True,
        "public_training_code": None,
        "public_training_data": None,
        "similarity_fn_name": ScoringFunction.COSINE,
        "use_instructions": False,
        "training_datasets": None,
    }
    return ModelMeta(**(form | details))


def _mteb() -> Any:
    """Import mteb, or say how to get it."""
    try:
        import mteb
    except ImportError as error:
        raise MissingExtraError("MTEB tasks need mteb: pip install 'two-stage-retriever[mteb]'") from error
    return mteb


def _torch() -> Any:
    """Import torch, which mteb brings with it."""
    _mteb()
    import torch

    return torch
