"""Which vector index suits a collection, and why."""

from __future__ import annotations

from dataclasses import dataclass

from retriever.config import RetrieverConfig
from retriever.index.engines import funnel_leading

FLAT_UP_TO = 100_000  # passages; 4 ms a query at 256 dimensions on one core
FP16_UP_TO = 250_000  # passages; from there on the funnel, candidates' texts included, is faster
TRAINED_FROM = 5_000  # passages; fewer cannot train a quantizer, and are searched exactly in less than 1 ms
_ORDER = ("flat", "fp16", "sq8", "funnel")


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
    flat, half = 4 * dimensions * passages, 2 * dimensions * passages
    count = f"{passages:,} passages"
    if passages <= FLAT_UP_TO and flat <= limit:
        return Choice("flat", f"{count} are searched exactly in a few milliseconds and take {_mb(flat)}")
    if passages <= FP16_UP_TO and half <= limit:
        return Choice(
            "fp16", f"{count} are too many for 32 bits and fit {_mb(half)} with 16 bits a dimension"
        )
    leading = funnel_leading(dimensions)
    if not leading or passages < TRAINED_FROM:
        return Choice("fp16", f"vectors of {dimensions} dimensions are too narrow, or too few, to compress")
    return Choice(
        "funnel",
        f"{count} take {_mb(half)} with 16 bits a dimension, and {_mb(leading // 4 * passages)} as codes of "
        f"the {leading} leading dimensions, from which candidates are scored again in full",
    )


def outgrown(current: str, wanted: str) -> bool:
    """Tell whether an index of one kind is to be replaced by another.

    Never back to a larger one when a collection shrinks a little; compaction does that.
    """
    if wanted in ("ivf", "hnsw") or current in ("ivf", "hnsw"):
        return current != wanted
    return _ORDER.index(wanted) > _ORDER.index(current)


def _as_wished(engine: str, passages: int, dimensions: int) -> Choice:
    if engine in ("sq8", "ivf", "hnsw", "funnel") and passages < TRAINED_FROM:
        return Choice("flat", f"{engine} was asked for; it begins at {TRAINED_FROM:,} passages")
    if engine == "funnel" and not funnel_leading(dimensions):
        return Choice(
            "fp16", f"funnel was asked for; vectors of {dimensions} dimensions are too narrow for it"
        )
    return Choice(engine, "asked for")


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
