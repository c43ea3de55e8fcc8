"""``modcollapse verdict``: the verdict alone, and its exit code."""

from __future__ import annotations

from pathlib import Path

import click

from modcollapse.cli._held_audits import held_audits
from modcollapse.cli._printed import json_option, print_audits
from modcollapse.cli._report_command import CONTROL, HELD


@click.command("verdict", short_help="Say the verdict, and leave with its exit code.")
@click.argument("held", type=HELD, metavar="TABLE|AUDIT|JOURNAL")
@CONTROL
@json_option
@click.pass_context
def verdict_command(ctx: click.Context, held: Path, control: Path | None, as_json: bool) -> None:
    """Say the verdict of what was measured, and leave with its exit code.

    \b
    Examples:
      modcollapse verdict audited
      modcollapse verdict run.npz --control clean.npz --json

    0 is left for one verdict: no effect of these triggers above the bound. It does not say that
    there is no backdoor. Inconclusive is 5 and too few examples 6, so that a CI job stops there
    too. Of several detectors the gravest verdict counts; with a control, the difference from it.
    """
    print_audits(ctx, held_audits(held, control), as_json=as_json, full=False)
