"""How a table is analysed: the options of every metric, checked where they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict, get_args

from modcollapse._support.validation import choice, flag, number, whole
from modcollapse.errors import InputError
from modcollapse.game import INDICES, Index

Method: TypeAlias = Literal[
    "auto", "flips", "patterns", "gaffke", "plus-ends", "betting", "t", "hall", "bootstrap-t"
]
"""Kind of interval, see ``contrast_estimates``."""

NEEDS_BOUNDS = ("patterns", "gaffke", "plus-ends", "betting")
"""Methods that rest on the lowest and highest possible value."""


@dataclass(frozen=True)
class Rules:
    """The margins of a verdict; declare them before looking at the results.

    Attributes:
        alpha: level of each one-sided test, in (0, 0.5).
        share: part of the attribution that a dominant modality holds, in (0.5, 1).
        margin: interaction that still counts as negligible, as a part of the total effect.
        effect: smallest effect that counts, as a part of a perfect attack, in (0, 1).
        strict: the claims about interactions hold their level also where in a few examples, none of
            them in the sample, two triggers undo each other; those of a comparison that an effect
            did not change, where in a few it is inverted. False leaves such examples out, which
            shows more below about 100 examples.

    Raises:
        InputError: a margin is out of its range.
    """

    alpha: float = 0.05
    share: float = 0.9
    margin: float = 0.1
    effect: float = 0.1
    strict: bool = True

    def __post_init__(self) -> None:
        number(self.alpha, "alpha", "(0, 0.5)")
        number(self.share, "share", "(0.5, 1)")
        number(self.margin, "margin", "(0, 1)")
        number(self.effect, "effect (a part of a perfect attack)", "(0, 1)")
        flag(self.strict, "strict")


class AnalysisOptions(TypedDict, total=False):
    """The keywords of every call that analyses, see `Settings`."""

    level: float
    method: Method
    index: Index
    rules: Rules | None
    simultaneous: bool


@dataclass(frozen=True)
class Settings:
    """The options of an analysis.

    Attributes:
        level: confidence level of the intervals, in (0, 1).
        method: kind of interval, see ``contrast_estimates``.
        index: interaction index of the pairs, which matters for M > 2 only.
        rules: margins of the verdict.
        simultaneous: widen the intervals so that all of an audit hold together at the level, by
            Bonferroni; else each holds alone.

    Raises:
        InputError: a level outside (0, 1), an unknown method or index, rules that are none.

    >>> Settings(method="exact")
    Traceback (most recent call last):
    ...
    modcollapse.errors.InputError: method must be one of 'auto', 'flips', 'patterns', 'gaffke', \
'plus-ends', 'betting', 't', 'hall', 'bootstrap-t'; got 'exact'
    """

    level: float = 0.95
    method: Method = "auto"
    index: Index = "SII"
    rules: Rules = field(default_factory=Rules)
    simultaneous: bool = False

    def __post_init__(self) -> None:
        number(self.level, "level", "(0, 1)")
        choice(self.method, "method", get_args(Method))
        choice(self.index, "index", INDICES)
        if not isinstance(self.rules, Rules):
            raise InputError(
                f"rules must be a modcollapse.Rules, such as Rules(alpha=0.01); got {self.rules!r}"
            )
        flag(self.simultaneous, "simultaneous")

    def alpha(self, estimates: int) -> float:
        """How often each end of an interval may lie on the wrong side of the truth.

        Args:
            estimates: number of them that are to hold together, if they are to.
        """
        return (1 - self.level) / 2 / (estimates if self.simultaneous else 1)

    def check(
        self,
        modalities: Sequence[str],
        bounds: tuple[float, float] | None,
        order: int | None = None,
    ) -> None:
        """Raise unless values of these modalities and bounds can be analysed like this.

        Args:
            modalities: names of the M players.
            bounds: lowest and highest value, where known.
            order: size of the groups whose interaction is asked for; None where none is.

        Raises:
            InputError: a method that needs bounds without them, or groups larger than M.
        """
        if self.method in NEEDS_BOUNDS and bounds is None:
            raise InputError(
                f"method={self.method!r} needs the bounds of the value function; declare `bounds = "
                "(lowest, highest)` on the detector, or use method='flips'"
            )
        if order is not None and not 2 <= whole(order, "order") <= len(modalities):
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
