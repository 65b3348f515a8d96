"""Times of single examples vary on busy machines; what a test may cost is seen in the suite's duration."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
