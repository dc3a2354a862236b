"""Properties are checked without a deadline: the machine may be training a model beside the tests."""

from hypothesis import settings

settings.register_profile("measurement", deadline=None, max_examples=60)
settings.load_profile("measurement")
