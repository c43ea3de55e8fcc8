"""Settings of all tests: none is timed, neither by us nor by hypothesis."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
