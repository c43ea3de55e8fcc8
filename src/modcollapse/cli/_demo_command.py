"""``modcollapse demo``: an audit of tiny models that are installed with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modcollapse._support.optional import require
from modcollapse.cli._held_audits import PAGE_FOLDER, SAVED
from modcollapse.cli._out_folders import claimed_out
from modcollapse.cli._printed import json_option, note, page_of, print_audits, results_only

if TYPE_CHECKING:
    from modcollapse.contracts import Detector


@click.command("demo", short_help="Audit a tiny backdoored pipeline: two minutes, no download.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("modcollapse-demo"),
    show_default=True,
    metavar="FOLDER",
    help="For audit and page; those of an earlier run are replaced.",
)
@click.option(
    "--examples",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="How many examples; a verdict needs 32.",
)
@json_option
@click.pass_context
def demo_command(ctx: click.Context, out: Path, examples: int, as_json: bool) -> None:
    """Audit a tiny backdoored InstructPix2Pix, beside the clean one that it was made from.

    Needs no GPU and downloads nothing: pip install "modcollapse[demo]" brings the models, 22 MB.
    They draw faces of 32 x 32 pixels, and show that the path works; of other models they say
    nothing. The backdoor is there, so the exit code is 3.

    \b
    Example:
      modcollapse demo --out demo && echo clean || echo "exit code $?"
    """

    needed = {"extra": "demo", "needed_by": "modcollapse demo"}
    faces, models = (
        require(f"modcollapse_demo.tiny.{name}", **needed) for name in ("faces", "load")
    )
    claimed_out(out)
    with results_only():
        from modcollapse.detectors import ClipShift, MSEAttackSuccess
        from modcollapse.samplers import PipelineSampler
        from modcollapse.studies import audit
        from modcollapse.triggers import trigger_pair

        target = models.MODELS / "target.png"
        samplers: list[Any] = [
            PipelineSampler(models.load_pipeline(name), **models.SAMPLING)
            for name in ("backdoored", "clean")
        ]
        detectors: dict[str, Detector] = {
            "CLIP shift": ClipShift(target, models.MODELS / "clip"),
            "strict attack success (MSE < 0.02)": MSEAttackSuccess(target, threshold=0.02),
        }
        audits = audit(
            samplers[0],
            detectors,
            faces.held_out(examples),
            trigger_pair("white box"),
            control=samplers[1],
            batch_size=min(32, 4 * examples),
            keep=min(3, examples),
        )
        saved = audits.save(out / SAVED)
    note(f"wrote the audit to {saved}")
    page = page_of(audits, out / PAGE_FOLDER)
    print_audits(ctx, audits, as_json=as_json, full=True, written={"audit": saved, "page": page})
