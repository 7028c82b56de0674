"""Settings for every test."""

from hypothesis import settings

# Timing decides no test: these machines are noisy.
settings.register_profile("posfw", deadline=None)
settings.load_profile("posfw")


def pytest_addoption(parser):
    """Options of tests/host/test_random_days.py."""
    parser.addoption("--seeds", type=int, default=2000, help="how many random days to run")
    parser.addoption("--seed", type=int, default=None, help="run this one random day")
