"""Loading models through sentence-transformers, which the extra `hf` brings."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError

from rerank.errors import MissingExtraError, ModelNotFoundError


def load_sentence_model(
    kind: Literal["CrossEncoder", "SentenceTransformer"],
    model: str | Path,
    *,
    device: str | None,
    called: str,
) -> Any:
    """Load a model by its class in sentence-transformers; code that comes with a model is never run.

    :param kind: the class.
    :param model: folder or hub id.
    :param device: torch device; None lets sentence-transformers choose.
    :param called: what such a model is called in an error.
    :raises MissingExtraError: if sentence-transformers is not installed.
    :raises ModelNotFoundError: if neither a folder nor a hub model has this name.
    """
    try:
        import sentence_transformers
    except ImportError as error:
        raise MissingExtraError(
            f"{model} is a sentence-transformers model; to run it: pip install 'two-stage-retriever[hf]'"
        ) from error
    try:
        return getattr(sentence_transformers, kind)(str(model), device=device, trust_remote_code=False)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelNotFoundError(f"no {called} {str(model)!r} can be loaded: {error}") from error


def fingerprint_of(model: Any) -> str:
    """Hash everything that a loaded model's scores depend on: another version at its place is another model.

    :param model: of sentence-transformers.
    :return: 32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch_bytes()).numpy().data)
    digest.update(json.dumps(sorted(model.tokenizer.get_vocab().items())).encode())
    digest.update(str(getattr(model, "max_length", None) or getattr(model, "max_seq_length", None)).encode())
    return digest.hexdigest()


def torch_bytes() -> Any:
    """The dtype that shows a tensor's bytes, whatever they mean."""
    import torch

    return torch.uint8
