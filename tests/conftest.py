"""What holds for all tests."""

from hypothesis import settings

# How long an example takes depends on who else uses the machine, and says nothing about what is tested.
settings.register_profile("sentinel", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=5)  # `tests/run --quick`
settings.load_profile("sentinel")
