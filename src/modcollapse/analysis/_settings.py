"""How a table is analysed: the options of every metric, checked where they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict, get_args

from modcollapse._support.validation import choice, number, whole
from modcollapse.errors import InputError
from modcollapse.game import INDICES, Index

Method: TypeAlias = Literal["auto", "hall", "plus-ends", "t"]
"""Kind of interval, see ``contrast_estimates``."""


@dataclass(frozen=True)
class Rules:
    """The margins of a verdict; declare them before looking at the results.

    Attributes:
        alpha: level of each one-sided test, in (0, 0.5).
        share: part of the attribution that a dominant modality holds, in (0.5, 1).
        margin: interaction that still counts as negligible, as a part of the total effect.
        min_effect: total effect that still counts as none, in the unit of the value; None means
            0.1 for 0/1 values and 0.05 for others.

    Raises:
        InputError: a margin is out of its range.
    """

    alpha: float = 0.05
    share: float = 0.9
    margin: float = 0.1
    min_effect: float | None = None

    def __post_init__(self) -> None:
        number(self.alpha, "alpha", "(0, 0.5)")
        number(self.share, "share", "(0.5, 1)")
        number(self.margin, "margin", "(0, inf)")
        if self.min_effect is not None:
            number(self.min_effect, "min_effect", "(0, inf)")


class AnalysisOptions(TypedDict, total=False):
    """The keywords of every call that analyses, see `Settings`."""

    level: float
    method: Method
    index: Index
    rules: Rules | None


@dataclass(frozen=True)
class Settings:
    """The options of an analysis.

    Attributes:
        level: confidence level of the intervals, in (0, 1).
        method: kind of interval, see ``contrast_estimates``.
        index: interaction index of the pairs, which matters for M > 2 only.
        rules: margins of the verdict.

    Raises:
        InputError: a level outside (0, 1), an unknown method or index, rules that are none.

    >>> Settings(method="exact")
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: method must be one of 'auto', 'hall', 'plus-ends', 't'; \
got 'exact'
    """

    level: float = 0.95
    method: Method = "auto"
    index: Index = "SII"
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        number(self.level, "level", "(0, 1)")
        choice(self.method, "method", get_args(Method))
        choice(self.index, "index", INDICES)
        if not isinstance(self.rules, Rules):
            raise InputError(
                f"rules must be a modcollapse.Rules, such as Rules(alpha=0.01); got {self.rules!r}"
            )

    def check(
        self, modalities: Sequence[str], bounds: tuple[float, float] | None, order: int = 1
    ) -> None:
        """Raise unless values of these modalities and bounds can be analysed like this.

        Args:
            modalities: names of the M players.
            bounds: lowest and highest value, where known.
            order: size of the groups whose interaction is asked for; 1 where none is.

        Raises:
            InputError: plus-ends without bounds, or groups larger than M.
        """
        if self.method == "plus-ends" and bounds is None:
            raise InputError(
                "the plus-ends interval needs the bounds of the value function; "
                "declare `bounds = (lowest, highest)` on the detector, or use method='hall'"
            )
        if order != 1 and not 2 <= whole(order, "order") <= len(modalities):
            raise InputError(
                f"an interaction of order {order} is between 2 or more modalities, and at most all "
                f"of the table's {len(modalities)} ({', '.join(modalities)})"
            )

    @classmethod
    def of(cls, options: AnalysisOptions) -> Settings:
        """Read the keywords of a call, where no rules mean the default ones."""
        given = dict(options)
        rules = given.pop("rules", None)
        return cls(**given, **({} if rules is None else {"rules": rules}))  # type: ignore[arg-type]
