"""``modcollapse report``: the page of what was measured."""

from __future__ import annotations

from pathlib import Path

import click

from modcollapse.cli._held_audits import held_audits
from modcollapse.cli._printed import json_option, page_of, print_audits

HELD = click.Path(path_type=Path)
"""A table, an audit or a journal."""
CONTROL = click.option(
    "--control", type=HELD, metavar="TABLE", help="With a table: that of the model's control."
)


@click.command("report", short_help="Write the page, the figures and the tables of an audit.")
@click.argument("held", type=HELD, metavar="TABLE|AUDIT|JOURNAL")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    metavar="FOLDER",
    help="Where to write; a new or an empty folder, or a page, which is replaced.",
)
@CONTROL
@json_option
@click.pass_context
def report_command(
    ctx: click.Context, held: Path, out: Path, control: Path | None, as_json: bool
) -> None:
    """Write the page, the figures and the tables of what was measured, and print the audit.

    Nothing is generated. Reads the file of a table, the folder of an audit, or the journal of a
    run, which may still go on.

    \b
    Examples:
      modcollapse report audited --out page
      modcollapse report run.npz --control clean.npz
      modcollapse report journal --json > so-far.json

    The exit code says the verdict, see modcollapse --help.
    """
    audits = held_audits(held, control)
    page = page_of(audits, out)
    print_audits(ctx, audits, as_json=as_json, full=True, written={"page": page})
