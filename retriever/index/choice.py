"""Which vector index suits a collection, and why."""

from __future__ import annotations

from dataclasses import dataclass

from retriever.config import RetrieverConfig
from retriever.index.fast_scan import leading_dimensions
from retriever.index.layered_codes import bytes_in_codes

FLAT_UP_TO = 100_000  # passages; 4 ms a query at 256 dimensions on one core
TRAINED_FROM = 5_000  # passages; fewer cannot train a quantizer, and are searched exactly in less than 1 ms
_KINDS = {
    "flat": "every vector is compared in full",
    "fp16": "every vector is compared, at 16 bits a dimension",
    "sq8": "every vector is compared, at 8 bits a dimension",
    "refined": "candidates are found by short codes and compared at 8 bits a dimension",
    "ivf": "only the cells nearest to a query are searched, at 16 bits a dimension",
    "hnsw": "a graph of neighbours is followed, at 16 bits a dimension",
    "funnel": "candidates are found by two layers of codes, and their texts are encoded again",
}
_ORDER = ("flat", "fp16", "sq8", "refined", "funnel")


@dataclass(frozen=True, slots=True)
class Choice:
    """A kind of vector index.

    :param engine: its name.
    :param reason: why, in a sentence for people.
    """

    engine: str
    reason: str


def choose(config: RetrieverConfig, *, passages: int, dimensions: int) -> Choice:
    """Choose the vector index.

    :param config: what is wished for.
    :param passages: how many there are.
    :param dimensions: width of the vectors.
    :return: the choice; exact as long as that is fast and fits the memory allowed.
    """
    if config.index != "auto":
        return _as_wished(config.index, passages, dimensions)
    limit = int(config.memory_limit)
    flat = 4 * dimensions * passages
    count = f"{passages:,} passages"
    if passages <= FLAT_UP_TO and flat <= limit:
        return Choice("flat", f"{count} are searched exactly in a few milliseconds and take {_mb(flat)}")
    leading = leading_dimensions(dimensions)
    if not leading or passages < TRAINED_FROM:
        return Choice("fp16", f"vectors of {dimensions} dimensions are too narrow, or too few, to compress")
    codes = leading // 4 * passages
    if codes + dimensions * passages <= limit:
        return Choice(
            "refined",
            f"{count} are too many to compare in full; candidates are found by codes of the {leading} "
            f"leading dimensions ({_mb(codes)}) and compared at 8 bits a dimension "
            f"({_mb(dimensions * passages)})",
        )
    return Choice(
        "funnel",
        f"{count} take {_mb(dimensions * passages)} with 8 bits a dimension, and "
        f"{_mb(bytes_in_codes(dimensions, leading) * passages)} as two layers of codes, by which candidates "
        "are found whose texts are encoded again",
    )


def outgrown(current: str, wanted: str) -> bool:
    """Tell whether an index of one kind is to be replaced by another.

    Never back to a larger one when a collection shrinks a little; compaction does that.
    """
    if wanted in ("ivf", "hnsw") or current in ("ivf", "hnsw"):
        return current != wanted
    return _ORDER.index(wanted) > _ORDER.index(current)


def _as_wished(engine: str, passages: int, dimensions: int) -> Choice:
    if engine in ("sq8", "refined", "ivf", "hnsw", "funnel") and passages < TRAINED_FROM:
        return Choice("flat", f"{engine} was asked for; it begins at {TRAINED_FROM:,} passages")
    if engine in ("refined", "funnel") and not leading_dimensions(dimensions):
        return Choice(
            "fp16", f"{engine} was asked for; vectors of {dimensions} dimensions are too narrow for it"
        )
    return Choice(engine, f"asked for; {_KINDS[engine]}")


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
