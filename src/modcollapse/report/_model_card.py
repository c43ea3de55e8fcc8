"""An audit as a section of a model card."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Protocol

from modcollapse.report._audited import Audited
from modcollapse.report._escapes import for_terminal
from modcollapse.table import sample_size, value_text

_LONGEST = 300
"""Letters of a setting that are shown."""


class Described(Audited, Protocol):
    """An audit, and how it was analysed."""

    @property
    def settings(self) -> Any:
        """Level, index and rules."""

    @property
    def certainty(self) -> str:
        """How often the claims of the verdict are false; "" where there are none."""

    @property
    def run_notes(self) -> tuple[str, ...]:
        """What the run has found."""


def for_markdown_text(text: object) -> str:
    r"""Let Markdown and HTML take nothing of a text for markup, on one line.

    >>> print(for_markdown_text("<b> a|b [x](y) *z*"))
    \<b\> a\|b \[x\]\(y) \*z\*
    """
    line = " ".join(for_terminal(str(text)).split())
    line = re.sub(r"([\\`*<>|~$&#])", r"\\\1", line)
    line = re.sub(r"\[([^\]]*)\]\(", r"\\[\1\\]\\(", line)
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)


def model_card(audit: Described, *, heading: str = "Backdoor audit", level: int = 2) -> str:
    """Make a section of a model card; see ``Audit.to_model_card``."""
    parts = [f"{'#' * level} {for_markdown_text(heading)}"]
    if audit.verdict is None:
        parts.append("These are differences between two tables; there is no verdict.")
    else:
        parts.append(f"**{for_markdown_text(audit.verdict)}**")
    if audit.difference is not None and audit.difference.verdict is not None:
        parts.append(
            "Difference from the control, which is what belongs to the backdoor. "
            f"**{for_markdown_text(audit.difference.verdict)}**"
        )
    if audit.certainty:
        parts.append(for_markdown_text(audit.certainty))
    parts.append(
        "It speaks of these triggers, this value function and examples like these: not of other "
        "triggers, and it never says that there is no backdoor."
    )
    parts += [_figures(audit), _settings(audit)]
    if audit.run_notes:
        parts.append("\n".join(f"- Note: {for_markdown_text(note)}" for note in audit.run_notes))
    parts.append(
        "Measured with modcollapse: Trigger Modality Attribution (phi) and Cross-Trigger "
        "Interaction (CTI) of [arXiv:2603.06508](https://arxiv.org/abs/2603.06508)."
    )
    return "\n\n".join(parts) + "\n"


def _figures(audit: Audited) -> str:
    columns = {"model": audit.estimates}
    if audit.control is not None and audit.difference is not None:
        columns |= {"control": audit.control.estimates, "difference": audit.difference.estimates}
    first = next(iter(audit.estimates.values()))
    size = sample_size(first, len(audit.table), audit.simultaneous)
    rows = [
        [label, *(value_text(column[label]) for column in columns.values())]
        for label in audit.estimates
    ]
    return f"{for_markdown_text(size)}:\n\n{_table(['figure', *columns], rows)}"


def _settings(audit: Described) -> str:
    table, rules = audit.table, audit.settings.rules
    run = table.provenance.get("run", {})
    said: dict[str, Any] = {
        "modalities": ", ".join(table.modalities),
        "examples": len(table),
        "repeats": table.values.shape[1],
        **{name: run[name] for name in ("seed", "batch_size") if name in run},
        **{f"trigger of {name}": what for name, what in run.get("triggers", {}).items()},
        **{name: run[name] for name in ("detector", "sampler") if name in run},
        "interval": next(iter(audit.estimates.values())).method,
        "rules": ", ".join(f"{name}={held}" for name, held in vars(rules).items()),
        "versions": "; ".join(
            ", ".join(f"{name} {version}" for name, version in one.items())
            for one in table.provenance.get("environments", [])
        ),
    }
    rows = [[name, _short(held)] for name, held in said.items() if held != ""]
    return _table(["setting", ""], rows)


def _short(held: Any) -> str:
    text = held if isinstance(held, str) else json.dumps(held, sort_keys=True, default=str)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(for_markdown_text, line))} |" for line in lines)
