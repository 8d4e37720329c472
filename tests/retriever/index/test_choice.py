import pytest

from retriever.config import RetrieverConfig
from retriever.errors import ConfigError
from retriever.index.choice import choose, outgrown


@pytest.mark.parametrize(
    ("passages", "limit", "engine"),
    [
        (100, "1GB", "flat"),
        (100_000, "1GB", "flat"),
        (100_001, "1GB", "refined"),
        (3_000_000, "1GB", "refined"),
        (10_000_000, "1GB", "funnel"),
        (90_000, "50MB", "refined"),
        (90_000, "10MB", "funnel"),
    ],
)
def test_auto_goes_by_size_and_memory(passages, limit, engine):
    choice = choose(RetrieverConfig(memory_limit=limit), passages=passages, dimensions=256)
    assert choice.engine == engine
    assert f"{passages:,} passages" in choice.reason


@pytest.mark.parametrize("engine", ["flat", "fp16", "sq8", "refined", "ivf", "hnsw", "funnel"])
def test_what_is_asked_for_is_taken_where_it_can_be(engine):
    config = RetrieverConfig(index=engine)
    choice = choose(config, passages=50_000, dimensions=256)
    assert choice.engine == engine and choice.reason.startswith("asked for; ")
    few = choose(config, passages=100, dimensions=256)
    assert few.engine == (engine if engine == "fp16" else "flat")


def test_narrow_vectors_are_not_compressed():
    assert choose(RetrieverConfig(), passages=1_000_000, dimensions=8).engine == "fp16"


def test_an_index_is_never_changed_back_for_a_little():
    assert outgrown("flat", "refined") and outgrown("refined", "funnel")
    assert not outgrown("funnel", "fp16") and not outgrown("flat", "flat")
    assert outgrown("flat", "hnsw")


def test_an_unknown_index_is_named():
    with pytest.raises(ConfigError, match="index"):
        RetrieverConfig(index="annoy")
