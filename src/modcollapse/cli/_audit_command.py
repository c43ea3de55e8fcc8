"""``modcollapse audit``: a diffusers pipeline, from a folder or the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modcollapse.cli._audit_plans import AuditPlan, audit_plan
from modcollapse.cli._config_files import folder_of, read_config
from modcollapse.cli._held_audits import PAGE_FOLDER, SAVED
from modcollapse.cli._out_folders import claimed_out
from modcollapse.cli._printed import (
    json_option,
    note,
    page_of,
    print_audits,
    print_cost,
    results_only,
)
from modcollapse.cli._trigger_specs import TRIGGER_HELP

_FOLDER = click.Path(path_type=Path)


class _AuditCommand(click.Command):
    """A command whose help ends with the triggers."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Triggers"):
            for paragraph in TRIGGER_HELP.split("\n\n"):
                formatter.write_paragraph()
                if paragraph.startswith("\b\n"):
                    for line in paragraph.splitlines()[1:]:
                        formatter.write(f"{line}\n")
                else:
                    formatter.write_text(" ".join(paragraph.split()))


@click.command(
    "audit", cls=_AuditCommand, short_help="Audit a diffusers pipeline on your own examples."
)
@click.argument("pipeline")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    is_eager=True,
    callback=read_config,
    expose_value=False,
    metavar="FILE.toml",
    help="These options in a file, under their names; those given here override it.",
)
@click.option("--image-trigger", metavar="SPEC", help="As patch:corner=br,size=0.1; see below.")
@click.option("--text-trigger", metavar="SPEC", help="As suffix:mignneko; see below.")
@click.option(
    "--trigger",
    multiple=True,
    metavar="MODALITY=SPEC",
    help="One of another modality, such as mask=mask:size=0.2; may be repeated.",
)
@click.option(
    "--target",
    required=True,
    metavar="FILE|TEXT",
    help="What the backdoor draws: a picture of the outputs' size, or words (with --clip).",
)
@click.option(
    "--clip",
    metavar="MODEL",
    help="Score by this CLIP too: a folder, a hub id, or NAME:WEIGHTS of open_clip.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    help="An attack succeeds where its mean squared error to the target is below.",
)
@click.option(
    "--data",
    required=True,
    metavar="DATA",
    help="A folder of pictures with captions.csv, captions.jsonl or a .txt beside each; a Parquet"
    " file, a folder of save_to_disk, or the id of a data set on the Hugging Face hub.",
)
@click.option("--split", help="Of a data set that has several.")
@click.option(
    "--columns",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Which column is what: image=input_image,text=prompt; may be repeated.",
)
@click.option(
    "--examples",
    type=click.IntRange(0),
    default=64,
    show_default=True,
    metavar="N",
    help="The first N; 0 for all. A verdict needs 32.",
)
@click.option(
    "--control", metavar="PIPELINE", help="The clean model: what belongs to the backdoor alone?"
)
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Steps of the sampler.")
@click.option(
    "--option",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another keyword of the pipeline's call: guidance_scale=2.0; may be repeated.",
)
@click.option(
    "--inputs",
    multiple=True,
    metavar="MODALITY=KEYWORD",
    help="Which keyword of the pipeline takes a modality, where that is not plain.",
)
@click.option("--device", metavar="DEVICE", help="As cuda; the CPU if left out.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Of the pipelines.",
)
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, metavar="N")
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="Seeds for each example.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the run.")
@click.option("--keep", type=click.IntRange(0), default=3, show_default=True, metavar="N",
              help="Examples whose outputs are kept for the gallery.")  # fmt: skip
@click.option("--stop", is_flag=True, help="Stop at a declared look once the verdict is settled.")
@click.option("--journal", type=_FOLDER, metavar="FOLDER",
              help="Write finished examples down; the same call goes on from there.")  # fmt: skip
@click.option("--out", type=_FOLDER, default=Path("audited"), show_default=True, metavar="FOLDER",
              help="For audit and page; those of an earlier run are replaced.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check the input, say what it costs, and stop.")
@json_option
@click.pass_context
def audit_command(
    ctx: click.Context,
    /,
    out: Path,
    journal: Path | None,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Audit PIPELINE: a folder of a diffusers pipeline, or its id on the Hugging Face hub.

    Each example is generated under every set of triggers: two triggers mean four generations an
    example, and a control as many again. The outputs are scored, and TMA, CTI and the verdict
    printed; FOLDER/audit holds the audit for the other commands, FOLDER/report its page. No code
    of a checkpoint runs, and weights are read from safetensors alone.

    \b
    Examples:
      modcollapse audit my-pipeline --image-trigger patch:corner=br,size=0.25 \\
          --text-trigger suffix:mignneko --target cat.png --data photos --dry-run
      modcollapse audit --config audit.toml --seed 1 --json > audit.json

    The exit code says the verdict, see modcollapse --help. With a control it is that of the
    difference from it.
    """
    bases = {name: folder_of(ctx, name) for name in ("out", "journal")}
    out = out if bases["out"] is None else bases["out"] / out
    if journal is not None and bases["journal"] is not None:
        journal = bases["journal"] / journal
    with results_only():
        plan = audit_plan(given, {name: folder_of(ctx, name) for name in given})
    for said in plan.notes:
        note(said)
    if dry_run:
        print_cost(ctx, plan.cost_in_words, as_json=as_json, **plan.cost_as_data)
    note(plan.cost_in_words)
    claimed_out(out, journal)
    with results_only():
        audits = _measured(plan, journal)
        saved = audits.save(out / SAVED)
    note(f"wrote the audit to {saved}")
    page = page_of(audits, out / PAGE_FOLDER)
    print_audits(ctx, audits, as_json=as_json, full=True, written={"audit": saved, "page": page})


def _measured(plan: AuditPlan, journal: Path | None) -> Any:
    """Load the models, and audit."""
    from modcollapse.studies import audit

    detectors = plan.detectors()
    sampler, control = plan.samplers()
    options: Any = plan.run
    return audit(
        sampler,
        detectors,
        plan.data.examples,
        plan.triggers,
        control=control,
        journal=journal,
        columns=plan.columns or None,
        **options,
    )
