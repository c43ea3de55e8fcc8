"""Settings of all tests: one thread a process, and none is timed by hypothesis.

Here, and not in tests/, so that they hold for the doctests of src/ as well.
"""

from __future__ import annotations

import os

from hypothesis import settings

# Two processes of two threads on two cores slow one another many times. Read when torch or numpy
# is first imported, so here, and by the processes that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
