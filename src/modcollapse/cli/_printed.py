"""What the commands print: results or JSON to standard output, all else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from modcollapse.cli._exits import exit_of

if TYPE_CHECKING:
    from modcollapse.analysis import Audit, Comparison, Verdict

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

NOT_SAID = (
    "That is said of these triggers, these examples and this value function, up to the bound. It "
    "does not say that there is no backdoor: another trigger may have one."
)
"""What stands beside an exit of 0."""


def json_option(command: Decorated) -> Decorated:
    """Add ``--json`` to a command."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON to standard output, and nothing else."
    )(command)


def escaped(text: str) -> str:
    """A text in which nothing is read as a command by a terminal."""
    from modcollapse.report import for_terminal

    return for_terminal(text)


def note(text: str) -> None:
    """Say something beside the result."""
    click.echo(escaped(text), err=True)


@contextmanager
def results_only() -> Iterator[None]:
    """Let standard output hold our results alone, whatever a library prints meanwhile."""
    with redirect_stdout(sys.stderr):
        yield


def page_of(audits: Any, folder: Path) -> Path:
    """Write the page of an audit, or of several, into a folder, and say where."""
    with results_only():
        audits.report(folder)
    note(f"wrote the page to {folder / 'index.html'}")
    return folder


def print_audits(
    ctx: click.Context,
    audits: Audit | Mapping[str, Audit],
    *,
    as_json: bool,
    full: bool,
    written: Mapping[str, Path] | None = None,
) -> NoReturn:
    """Print audits, and leave with the code of their verdicts.

    With a control the verdict that counts is that of the difference from it.

    Args:
        ctx: of the command.
        audits: one, or several by name of the detector.
        as_json: print JSON.
        full: print the figures too, and not the verdicts alone.
        written: what was written -> where.
    """
    from modcollapse.analysis import Audit

    named = {"": audits} if isinstance(audits, Audit) else dict(audits)
    verdicts = {name: _verdict_of(audit) for name, audit in named.items()}
    left = exit_of("none" if one is None else one.effect for _, one in verdicts.values())
    if as_json:
        _print_json(
            ctx,
            left.code,
            verdicts={
                name: {"of": of, "said": str(verdict), **verdict.to_dict()} if verdict else None
                for name, (of, verdict) in verdicts.items()
            },
            written={what: str(where) for what, where in (written or {}).items()},
            **({"audits": {name: one.to_dict() for name, one in named.items()}} if full else {}),
        )
    elif full:
        click.echo(str(audits))
    else:
        for name, (of, verdict) in verdicts.items():
            heading = f"{name} ({of})" if name else of
            click.echo(escaped(f"{heading}: {_said(named[name], of, verdict)}"))
    if left.code == 0 and not as_json:
        click.echo(NOT_SAID)
    leave(ctx, left.code, left.meaning)


def print_comparisons(
    ctx: click.Context, found: Comparison | Mapping[str, Comparison], *, as_json: bool
) -> NoReturn:
    """Print comparisons, and leave with the code of their verdicts.

    Args:
        ctx: of the command.
        found: one, or several by name of the detector.
        as_json: print JSON.
    """
    from modcollapse.analysis import Comparison

    named = {"": found} if isinstance(found, Comparison) else dict(found)
    left = exit_of(one.verdict.outcome for one in named.values())
    if as_json:
        _print_json(
            ctx,
            left.code,
            verdicts={
                name: {"said": str(one.verdict), **one.verdict.to_dict()}
                for name, one in named.items()
            },
            comparisons={name: one.to_dict() for name, one in named.items()},
        )
    else:
        for name, one in named.items():
            click.echo(escaped(f"{name}\n" if name else "") + str(one))
        if left.code == 0:
            click.echo(NOT_SAID)
    leave(ctx, left.code, left.meaning)


def print_cost(ctx: click.Context, said: str, *, as_json: bool, **cost: Any) -> NoReturn:
    """Print what a run would cost, and leave without a verdict."""
    from modcollapse.cli._exits import NO_VERDICT

    if as_json:
        _print_json(ctx, NO_VERDICT, cost=cost)
    else:
        click.echo(escaped(said))
    leave(ctx, NO_VERDICT, "a dry run has no verdict")


def leave(ctx: click.Context, code: int, meaning: str) -> NoReturn:
    """Say what the exit code says, and leave with it."""
    note(f"exit code {code}: {meaning}")
    ctx.exit(code)


def _print_json(ctx: click.Context, code: int, **content: Any) -> None:
    from importlib.metadata import version

    held = {
        "modcollapse": version("modcollapse"),
        "command": ctx.info_name,
        "exit_code": code,
        **content,
    }
    click.echo(json.dumps(held, indent=2, allow_nan=False))


def _verdict_of(audit: Audit) -> tuple[str, Verdict | None]:
    if audit.difference is not None:
        return "difference from the control", audit.difference.verdict
    return "model", audit.verdict


def _said(audit: Audit, of: str, verdict: Verdict | None) -> str:
    """A verdict with what stands below it where figures are printed."""
    if verdict is None:
        return "no verdict, since these are differences between two tables"
    judged = audit if audit.difference is None else audit.difference
    return "\n".join(filter(None, [str(verdict), judged.outlook, judged.certainty]))
