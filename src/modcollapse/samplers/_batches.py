"""What every sampler is called with: conditions of each modality, and a seed for each row."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from modcollapse._support.validation import listed, whole
from modcollapse.contracts import Conditions
from modcollapse.errors import InputError

_LAST_SEED = 2**63 - 1


def checked_seeds(
    conditions: Conditions, seeds: Sequence[int], modalities: Collection[str], owner: str
) -> list[int]:
    """Return the seeds as plain integers, one for each row of every modality.

    Args:
        conditions: modality -> B conditions.
        seeds: B of them.
        modalities: those that are taken.
        owner: the sampler, in errors.

    Raises:
        InputError: other modalities, none or another number of rows, or a seed out of range.
    """
    if set(conditions) != set(modalities):
        raise InputError(
            f"{owner} takes the modalities {listed(modalities)}, got {listed(conditions) or 'none'}"
        )
    lengths = {modality: len(rows) for modality, rows in conditions.items()}
    if not len(seeds) or any(length != len(seeds) for length in lengths.values()):
        raise InputError(
            f"{owner} takes one condition of each modality and one seed for each row, got "
            f"{len(seeds)} seeds and "
            + ", ".join(f"{length} of {modality!r}" for modality, length in lengths.items())
        )
    plain = [seed.item() if hasattr(seed, "item") else seed for seed in seeds]
    return [whole(seed, f"a seed of {owner}", 0, _LAST_SEED) for seed in plain]
