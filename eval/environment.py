"""What a figure was measured on, so that another machine's can be told apart."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rerank.cores import usable_cores

_PACKAGES = ("two-stage-retriever", "numpy", "faiss-cpu", "onnxruntime", "tantivy", "ir-measures", "lancedb")


def environment() -> dict[str, Any]:
    """Describe the machine and the versions in use.

    :return: plain JSON-ready values: date, processor kind and count, Python, package versions.
    """
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def cpu_model() -> str:
    """Return the processor's name, or its kind where the system does not tell.

    :return: the name.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    """Return a package's version, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
