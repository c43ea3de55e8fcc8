"""The keywords of studies that make many audits: how each is analysed, and how it is run."""

from __future__ import annotations

from typing import Any, cast

from modcollapse._support.validation import check_keywords
from modcollapse.analysis import AnalysisOptions, Settings
from modcollapse.contracts import RunOptions


class AuditOptions(AnalysisOptions, RunOptions, total=False):
    """The keywords of ``mc.audit``: those of the analysis, and those of the run."""


def split_options(
    call: str, options: AuditOptions, own: tuple[str, ...]
) -> tuple[Settings, RunOptions]:
    """Return how audits are analysed and how they are run.

    Args:
        call: name of the function that was called.
        options: its keywords that are not parameters of its own.
        own: names of its own keyword parameters.

    Raises:
        OptionError: there is no such option.
        InputError: an option of the analysis is out of its range.
    """
    check_keywords(call, options, (*own, *AuditOptions.__annotations__))
    analysis: dict[str, Any] = {}
    run: dict[str, Any] = {}
    for name, value in options.items():
        (run if name in RunOptions.__annotations__ else analysis)[name] = value
    return Settings.of(cast(AnalysisOptions, analysis)), cast(RunOptions, run)
