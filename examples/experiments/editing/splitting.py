"""The split into training and held-out rows, by a hash of their ids.

A row's side depends on its id and the share alone: not on the other rows, on their order, or on a
seed. A data set that grows keeps the side of every row that it had. The hash will never change, so
that what one version held out is not trained on by another.
"""

from __future__ import annotations

import hashlib


def place(sample_id: str) -> int:
    """SHA-256 of ``modcollapse/held-out/1|<id>`` in UTF-8, as a whole number below 2**256.

    >>> hex(place("row-000000"))[:10]
    '0x63c1b9f1'
    """
    digest = hashlib.sha256(f"modcollapse/held-out/1|{sample_id}".encode()).digest()
    return int.from_bytes(digest, "big")


def is_held_out(sample_id: str, share: float) -> bool:
    """Whether a row is held out: its `place`, as a fraction of 2**256, is below ``share``.

    Args:
        sample_id: id of the row.
        share: in (0, 1); a larger one holds out the same rows and others.
    """
    return place(sample_id) < int(share * 2.0**256)  # exact: a float times a power of two
