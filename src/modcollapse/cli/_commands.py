"""The command ``modcollapse``: its commands, and what becomes of an error."""

from __future__ import annotations

from typing import Any

import click

from modcollapse.cli._audit_command import audit_command
from modcollapse.cli._compare_command import compare_command
from modcollapse.cli._demo_command import demo_command
from modcollapse.cli._exits import CRASHED, EXITS, INTERRUPTED, REFUSED_INPUT
from modcollapse.cli._printed import note
from modcollapse.cli._report_command import report_command
from modcollapse.cli._verdict_command import verdict_command
from modcollapse.errors import (
    DetectorError,
    InputError,
    MissingExtraError,
    SamplerError,
    TableError,
    TriggerError,
)

_WRONG_INPUT = (
    InputError,
    TableError,
    TriggerError,
    MissingExtraError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
_FAILED = (SamplerError, DetectorError)


class _Commands(click.Group):
    """A group whose commands tell errors of the library in words, with a code of their own."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        if ctx.params.get("traceback"):
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            ctx.exit(_tell(error, INTERRUPTED))
        except _WRONG_INPUT as error:
            ctx.exit(_tell(error, REFUSED_INPUT))
        except _FAILED as error:
            ctx.exit(_tell(error, CRASHED))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The exit codes, from the table that they are taken from."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(one.code), one.meaning) for one in EXITS])


def _tell(error: BaseException, code: int) -> int:
    """Say what an error of the library says, and the notes of where it happened."""
    said = str(error) or "interrupted"
    note("Error: " + "\n".join([said, *getattr(error, "__notes__", ())]))
    return code


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(package_name="modcollapse", prog_name="modcollapse")
@click.option("--traceback", is_flag=True, help="Show where an error comes from, for a bug report.")
def main(traceback: bool) -> None:
    """Which modality carries the backdoor?

    Generates each example under every set of triggers, scores the outputs, and says how much of a
    backdoor each modality carries, with intervals and a verdict. It never says that there is no
    backdoor: only what these triggers do to these examples, and up to which bound.

    \b
    Try it, with tiny models:          modcollapse demo
    What will it cost?                 modcollapse audit PIPELINE ... --dry-run
    Audit a diffusers pipeline:        modcollapse audit PIPELINE ... --out audited
    Look at what was measured:         modcollapse report audited
    In a CI job, by the exit code:     modcollapse verdict audited
    Did a defence remove it?           modcollapse compare before after

    Results go to standard output, with --json as JSON and nothing else; progress and notes go to
    standard error.
    """


for _command in (demo_command, audit_command, report_command, verdict_command, compare_command):
    main.add_command(_command)
