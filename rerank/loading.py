"""From a name to a reranker."""

from __future__ import annotations

from pathlib import Path

from rerank.errors import ModelError
from rerank.folder import GRAPHS, SCORER, find_graph
from rerank.hub import model_folder
from rerank.protocol import Reranker

# What an ONNX reranker needs; of a model without a graph only its configuration comes.
_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", *GRAPHS, SCORER)


def load_reranker(path_or_hub_id: str | Path) -> Reranker:
    """Load a reranker: ONNX without torch, other sentence-transformers cross-encoders with the extra `hf`.

    :param path_or_hub_id: a folder, or a model's id on the Hugging Face hub.
    :return: an `OnnxReranker` where there is an ONNX graph, else a `CrossEncoderReranker`.
    :raises ModelNotFoundError: if there is neither a folder nor a hub model of this name.
    :raises ModelError: if the model is damaged or no reranker.
    :raises MissingExtraError: if the model needs sentence-transformers and it is not installed.
    """
    folder = model_folder(path_or_hub_id, _FILES, called="reranker")
    if find_graph(folder) is not None:
        from rerank.onnx_runtime import OnnxReranker

        return OnnxReranker(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no model in it (no config.json, no {GRAPHS[0]}); give a reranker's folder"
        )
    from rerank.cross_encoder import CrossEncoderReranker

    local = folder if (folder / "model.safetensors").is_file() else path_or_hub_id
    return CrossEncoderReranker(local)
