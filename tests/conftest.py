"""Settings of all tests."""

import os

from hypothesis import settings

# A commit is judged by the same examples each time; at a desk, and in the nights' runs, new ones are drawn.
settings.register_profile("commit", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("commit")
