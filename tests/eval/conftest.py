"""A tiny encoder in a folder, shared by the tests that build configurations."""

import pytest

from tests.eval.factories import topical_encoder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    topical_encoder().save(folder)
    return str(folder)
