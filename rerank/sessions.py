"""onnxruntime sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rerank.errors import ModelError


def open_session(graph: Path | bytes, threads: int) -> Any:
    """Open a graph.

    :param graph: an ONNX file, or what is in one.
    :param threads: cores that one run uses.
    :return: an onnxruntime.InferenceSession.
    :raises ModelError: if the file cannot be read.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads that spin between operators starve whatever else the machine does, the first stage included.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else str(graph), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        name = "the graph" if isinstance(graph, bytes) else graph
        raise ModelError(f"{name} cannot be read by onnxruntime ({error}); fetch the model again") from error
