"""Tiny models to try ``modcollapse`` on, as a distribution of their own: they are 22 MB.

``models`` and ``tiny`` lie in ``examples`` of the repository, which reads the same files.
"""

from __future__ import annotations
