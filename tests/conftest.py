"""Settings for every test."""

from hypothesis import settings

# A busy machine is no failure: speed is what the benchmarks are for.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
