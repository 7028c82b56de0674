"""Settings for every test."""

from hypothesis import settings

# Timing decides no test: these machines are noisy.
settings.register_profile("posfw", deadline=None)
settings.load_profile("posfw")
