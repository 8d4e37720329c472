import pytest

from retriever import RetrieverConfig, RetrieverError
from retriever.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dept": 3}, "unknown configuration key 'dept'; did you mean 'depth'"),
        ({"xyz": 3}, "unknown configuration key 'xyz'; known keys are encoder"),
        ({"depth": 0}, "^depth: give a whole number of at least 1, or 'auto'$"),
        ({"depth": "all"}, "^depth: give a whole number of at least 1, or 'auto'$"),
        ({"pair_cache": "32XB"}, "^pair_cache: give a size such as '32MB'"),
        ({"dense_weight": 1.5}, "dense_weight: give a number from 0 to 1"),
        ({"feedback": float("nan")}, "feedback: give a number from 0 to 1"),
        ({"budget_ms": float("nan")}, "budget_ms: give milliseconds above 0, or None"),
        ({"dense_weight": float("nan")}, "dense_weight"),
        ({"fusion": "sum"}, "fusion: .*'zscore' or 'rrf'"),
        ({"dense": False, "lexical": False}, "^dense and lexical are both off"),
        ({"passage_tokens": 32, "passage_overlap": 32}, "must be below passage_tokens"),
    ],
)
def test_mistakes_are_explained(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        RetrieverConfig(**values)
    assert isinstance(caught.value, RetrieverError)


def test_every_field_has_a_reason():
    for name, field in RetrieverConfig.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name


def test_it_survives_json():
    config = RetrieverConfig(depth=7, encoder="some/model", passage_tokens=None)
    assert RetrieverConfig.model_validate_json(config.model_dump_json()) == config
