"""``modcollapse compare``: what became of a backdoor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from modcollapse.cli._held_audits import held_audits
from modcollapse.cli._printed import json_option, print_comparisons
from modcollapse.cli._report_command import HELD


@click.command("compare", short_help="Was a backdoor removed, reduced, or only moved?")
@click.argument("before", type=HELD)
@click.argument("after", type=HELD)
@json_option
@click.pass_context
def compare_command(ctx: click.Context, before: Path, after: Path, as_json: bool) -> None:
    """Say whether a backdoor was removed, reduced, or moved to another modality.

    BEFORE and AFTER are each the file of a table, the folder of an audit, or the journal of a run:
    of the same examples, seeds, triggers and detector, by two models. Nothing is generated.

    \b
    Examples:
      modcollapse compare before after
      modcollapse compare before.npz after.npz --json

    0 is left for one verdict: removed. Moved is 8, reduced 9, increased 10, unchanged 11,
    inconclusive 5, too few examples 6.
    """
    from modcollapse.studies import compare

    sides = [cast(Any, held_audits(path)) for path in (before, after)]
    print_comparisons(ctx, compare(*sides), as_json=as_json)
