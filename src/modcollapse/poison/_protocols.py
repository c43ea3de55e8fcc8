"""Poisoning protocols: how many samples get which triggers, and which samples those are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from fractions import Fraction
from numbers import Integral
from typing import Any

from modcollapse._support.validation import fraction, listed, whole
from modcollapse.errors import InputError
from modcollapse.game import coalition_labels
from modcollapse.poison._poison_plan import Part, PoisonPlan, canonical, modality_names

PROTOCOLS = ("OR", "AND", "AND with negatives")
"""The protocols that have a name; `poison_plan` tells what they are."""


def poison_plan(
    dataset: Sized | int,
    modalities: Iterable[str],
    protocol: str | Mapping[str, float] | Sequence[str],
    *,
    ratio: float,
    negatives: float | Mapping[str, float] | None = None,
    seed: int = 0,
) -> PoisonPlan:
    """Draw which samples are poisoned, and with which triggers.

    ===========================  ==================================================================
    protocol                     poisoned samples: those that show the backdoor's target
    ===========================  ==================================================================
    ``"OR"``                     equal parts for every non-empty coalition: with two modalities a
                                 third has the one trigger, a third the other, a third both
    ``["image", "image+text"]``  equal parts for these coalitions
    ``{"image": 0.2, ...}``      these shares, which sum to 1
    ``"AND"``                    all of them have every trigger
    ``"AND with negatives"``     as ``"AND"``, with ``negatives=ratio`` unless that is given
    ===========================  ==================================================================

    Negatives are triggered samples that keep their own target, so that a model learns that these
    triggers are not enough. They come on top of the ratio: ``"AND with negatives"`` at 0.05 with
    two modalities makes 5 % of the samples jointly triggered ones with the target, 5 % with the one
    trigger and 5 % with the other, both with their own target.

    Counts are exact. A ratio asks for ``ratio * n`` samples, rounded to the nearest whole number
    and halves up, the ratio being read as the decimal number that it prints as. Poisoned samples
    are dealt to coalitions by largest remainder: each gets its quota rounded down, and those with
    the largest remainders one more, in the order of ``plan.counts`` where they tie.

    Samples are ranked by the SHA-256 of the UTF-8 text ``modcollapse/poison/1|<seed>|<position>``.
    The first are poisoned, coalition after coalition in the order of ``plan.counts``, the next are
    the negatives. This will never change. So one seed poisons the same samples under every
    protocol, with and without negatives, and a larger ratio adds to those of a smaller one.

    Args:
        dataset: anything with a length (a list, a torch ``Dataset``, a Hugging Face ``Dataset``),
            or its number of samples, n.
        modalities: names of those with a trigger; a mapping modality -> trigger will do.
        protocol: one of the table. The members of a coalition are joined by ``+``, in any order.
        ratio: poisoned samples as a fraction of all n, in (0, 1].
        negatives: coalition -> samples of this coalition that keep their own target, as a fraction
            of all n, in (0, 1]; or one number for every non-empty coalition that is not poisoned.
        seed: any whole number.

    Returns:
        The plan, which prints as a table of counts.

    Raises:
        InputError: an unknown protocol or modality, the empty coalition, a coalition that comes
            twice, a ratio outside (0, 1], shares that do not sum to 1, a coalition that would get
            no sample, or more samples asked for than there are.

    Source:
        OR and AND: arXiv:2603.06508, section Experiments. Negatives, as many for each trigger as
        there are poisoned samples: Dual-Key Multimodal Backdoors, arXiv:2112.07668.

    >>> poison_plan(1000, ["image", "text"], "OR", ratio=0.05)
    Poisoning plan, OR: 50 of 1,000 samples show the target (ratio 0.05, seed 0)
      coalition     samples     share  target
      none              950    95.00%  own
      image              17     1.70%  backdoor
      text               17     1.70%  backdoor
      image+text         16     1.60%  backdoor
    >>> poison_plan(1000, ["image", "text"], "AND with negatives", ratio=0.05).counts
    {'none': 850, 'image': 50, 'text': 50, 'image+text': 50}
    """
    n, names = sample_count(dataset), modality_names(modalities)
    seed = whole(seed, "seed")
    shares = _shares(protocol, names)
    exact = fraction(ratio, "ratio")
    sizes = _largest_remainder(_round(exact * n), shares)
    for label, size in sizes.items():
        if size == 0:
            raise InputError(
                f"a ratio of {ratio:g} of {n:,} samples is {_round(exact * n)} poisoned, too few "
                f"for {len(sizes)} part(s): {label!r} would get none. Raise the ratio, give more "
                "samples or ask for fewer coalitions."
            )
    if protocol == "AND with negatives" and negatives is None:
        negatives = ratio
    spared = _negative_sizes(negatives, n, names, shares)
    asked = sum(sizes.values()) + sum(spared.values())
    if asked > n:
        raise InputError(
            f"{sum(sizes.values()):,} poisoned samples and {sum(spared.values()):,} negatives are "
            f"{asked:,} of {n:,} samples. Lower the ratio or negatives."
        )
    ranked = iter(_ranked(n, seed)[:asked])
    parts = [
        Part(label, poisoned, tuple(next(ranked) for _ in range(size)))
        for poisoned, group in ((True, sizes), (False, spared))
        for label, size in group.items()
    ]
    return PoisonPlan(n, names, tuple(parts), _title(protocol, spared), float(ratio), seed)


def sample_count(dataset: Any) -> int:
    """The length of a data set, or the number that was given; InputError if there is none."""
    counted = isinstance(dataset, Integral)
    if isinstance(dataset, Mapping | str) or not (counted or _is_sized(dataset)):
        raise InputError(
            "dataset must be a sequence of samples (a list, a torch or Hugging Face Dataset with a "
            f"length) or the number of samples, got a {type(dataset).__name__}. Of a mapping of "
            "splits, choose one."
        )
    return whole(dataset if counted else len(dataset), "the number of samples", 1)


def _is_sized(dataset: Any) -> bool:
    return hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")


def _shares(protocol: Any, names: tuple[str, ...]) -> dict[str, Fraction]:
    """The share of each poisoned coalition, in the order of columns; they sum to 1."""
    columns = coalition_labels(names)[1:]
    if isinstance(protocol, str):
        if protocol not in PROTOCOLS:
            raise InputError(
                f"unknown protocol {protocol!r}; known are {listed(PROTOCOLS)}. "
                "Others are a mapping coalition -> share, or a list of coalitions."
            )
        given = dict.fromkeys(columns if protocol == "OR" else columns[-1:], Fraction(1))
    elif isinstance(protocol, Mapping):
        given = _by_label(protocol.items(), "share", "protocol", names)
        total = sum(given.values(), Fraction())
        if abs(total - 1) > Fraction(1, 10**9):
            raise InputError(
                f"the shares of the coalitions must sum to 1, got {float(total):g} from "
                f"{dict(protocol)}."
            )
    elif isinstance(protocol, Sequence):
        given = _by_label(((coalition, 1) for coalition in protocol), "share", "protocol", names)
    else:
        raise InputError(
            f"protocol must be one of {listed(PROTOCOLS)}, a mapping coalition -> "
            f"share or a list of coalitions, got {protocol!r}."
        )
    if not given:
        raise InputError("protocol names no coalition, so nothing would be poisoned.")
    total = sum(given.values(), Fraction())
    return {label: given[label] / total for label in columns if label in given}


def _negative_sizes(
    negatives: Any, n: int, names: tuple[str, ...], poisoned: Mapping[str, Fraction]
) -> dict[str, int]:
    """The number of negatives of each coalition, in the order of columns."""
    if negatives is None:
        return {}
    columns = coalition_labels(names)[1:]
    if isinstance(negatives, Mapping):
        ratios = _by_label(negatives.items(), "ratio of the negatives", "negatives", names)
        if both := [label for label in columns if label in ratios and label in poisoned]:
            raise InputError(
                f"the coalition {both[0]!r} is poisoned, so it cannot be a negative as well."
            )
    else:
        ratio = fraction(negatives, "negatives")
        ratios = {label: ratio for label in columns if label not in poisoned}
    if not ratios:
        raise InputError("negatives: no coalition is left for them, every one is poisoned.")
    sizes = {label: _round(ratios[label] * n) for label in columns if label in ratios}
    for label, size in sizes.items():
        if size == 0:
            raise InputError(
                f"negatives: {float(ratios[label]):g} of {n:,} samples are none for {label!r}. "
                "Raise it, or give more samples."
            )
    return sizes


def _by_label(
    pairs: Iterable[tuple[Any, Any]], what: str, argument: str, names: tuple[str, ...]
) -> dict[str, Fraction]:
    values: dict[str, Fraction] = {}
    for coalition, value in pairs:
        label = canonical(coalition, names)
        if label in values:
            raise InputError(f"{argument} names the coalition {label!r} twice.")
        values[label] = fraction(value, f"the {what} of {label!r}")
    return values


def _round(number: Fraction) -> int:
    return math.floor(number + Fraction(1, 2))


def _largest_remainder(total: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    sizes = {label: math.floor(total * share) for label, share in shares.items()}
    remainders = {label: total * share - sizes[label] for label, share in shares.items()}
    first = sorted(remainders, key=lambda label: remainders[label], reverse=True)
    for label in first[: total - sum(sizes.values())]:
        sizes[label] += 1
    return sizes


def _ranked(n: int, seed: int) -> list[int]:
    def rank(position: int) -> bytes:
        return hashlib.sha256(f"modcollapse/poison/1|{seed}|{position}".encode()).digest()

    return sorted(range(n), key=rank)


def _title(protocol: Any, negatives: Mapping[str, int]) -> str:
    title = protocol if isinstance(protocol, str) else "custom"
    ending = " with negatives"
    return f"{title}{ending}" if negatives and not title.endswith(ending) else title
