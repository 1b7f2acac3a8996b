"""What holds for all tests."""

from hypothesis import settings

# How long an example takes depends on who else uses the machine, and says nothing about what is tested.
settings.register_profile("sentinel", deadline=None)
settings.load_profile("sentinel")
