"""From a name to a reranker."""

from __future__ import annotations

from pathlib import Path

from rerank.errors import ModelNotFoundError
from rerank.folder import GRAPHS, SCORER, find_graph
from rerank.protocol import Reranker


def load_reranker(path_or_hub_id: str | Path) -> Reranker:
    """Load a reranker: ONNX without torch, other sentence-transformers cross-encoders with the extra `hf`.

    :param path_or_hub_id: a folder, or a model's id on the Hugging Face hub.
    :return: an `OnnxReranker` where there is an ONNX graph, else a `CrossEncoderReranker`.
    :raises ModelNotFoundError: if there is neither a folder nor a hub model of this name.
    :raises ModelError: if the model is damaged or no reranker.
    :raises MissingExtraError: if the model needs sentence-transformers and it is not installed.
    """
    folder = Path(path_or_hub_id)
    if not folder.is_dir():
        folder = _fetch(str(path_or_hub_id))
    if find_graph(folder) is not None:
        from rerank.onnx_runtime import OnnxReranker

        return OnnxReranker(folder)
    from rerank.cross_encoder import CrossEncoderReranker

    local = folder if (folder / "model.safetensors").is_file() else path_or_hub_id
    return CrossEncoderReranker(local)


def _fetch(hub_id: str) -> Path:
    """Download what an ONNX reranker needs; a model without a graph leaves only its configuration."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["config.json", "tokenizer.json", "tokenizer_config.json", *GRAPHS, SCORER]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=wanted))
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelNotFoundError(
            f"no reranker {hub_id!r}: it is neither a folder nor a model that the hub gives ({error})"
        ) from error
