"""Settings for every test."""

import pytest
from hypothesis import settings

from retriever.encoder import beside, static_encoder

# A busy machine is no failure: speed is what the benchmarks are for.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

_LONGER_THAN_COMPILING = 600.0  # seconds


@pytest.fixture(autouse=True, scope="session")
def compiled_code():
    """Test the compiled code from the first test on; the way around it has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "WORTH", _LONGER_THAN_COMPILING)
        patch.setattr(static_encoder, "_work", lambda texts: _LONGER_THAN_COMPILING)
        yield
