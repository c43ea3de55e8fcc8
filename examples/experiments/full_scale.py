"""The paper's experiment on real InstructPix2Pix, as a file says it.

    cd examples
    python -m experiments.full_scale cost paper.toml
    accelerate launch -m experiments.full_scale run paper.toml --out ../paper
    python -m experiments.full_scale result paper.toml --out ../paper

What is finished in the folder is not made again. See docs/full-scale.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from modcollapse.errors import (
    DetectorError,
    InputError,
    SamplerError,
    TableError,
    TriggerError,
)

from experiments.edit_arms import EditExperiment
from experiments.experiment import work_of
from experiments.experiment_file import ExperimentFile
from experiments.finetuning.processes import accelerator_of, alone
from experiments.full_result import missing_arms, write_result
from experiments.recorded import check_recorded, record, record_detectors

FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of all that is made.",
)


SAID = (
    *(InputError, TableError, TriggerError, DetectorError, SamplerError),
    *(FloatingPointError, OSError),
)
"""Errors that say what to do, so that a traceback would only hide it."""


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SAID as error:
            notes = getattr(error, "__notes__", [])
            raise click.ClickException("\n".join([str(error), *notes])) from error
        except KeyboardInterrupt:
            click.echo("stopped; the same command goes on from here", err=True)
            raise


@click.group(cls=_Group)
def main() -> None:
    """Repeat the paper's experiment with the pipeline, data and arms that a FILE names."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def example(folder: Path) -> None:
    """Write a small experiment into a new FOLDER, which two cores run in a few minutes."""
    from experiments.small_example import write_example

    click.echo(f"wrote {write_example(folder)}")


@main.command()
@FILE
@click.option("--samples", type=click.IntRange(1), help="Rows of the data set, where not known.")
@click.option(
    "--throughput",
    type=click.FloatRange(0, min_open=True),
    help="TFLOP/s that a device really reaches in half precision, a fraction of what its data "
    "sheet says (default: 100).",
)
@click.option(
    "--float32-throughput",
    type=click.FloatRange(0, min_open=True),
    help="The same in float32 (default: 15).",
)
@click.option("--devices", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--architecture",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the configurations of the pipeline, where it cannot be reached.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cost(
    file: Path,
    samples: int | None,
    throughput: float | None,
    float32_throughput: float | None,
    devices: int,
    architecture: Path | None,
    as_json: bool,
) -> None:
    """Say what the experiment costs; no weights are loaded."""
    from experiments.cost import cost_report

    found = cost_report(
        ExperimentFile.at(file),
        samples=samples,
        throughput=throughput,
        float32_throughput=float32_throughput,
        devices=devices,
        architecture=architecture,
    )
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else str(found))


@main.command()
@FILE
@OUT
@click.option("--only", multiple=True, help="An arm, as `arms` names it; may be repeated.")
@click.option("--part", help="K/N: the K-th of N equal parts, from 0, as of a Slurm array.")
@click.option("--each-rank", is_flag=True, help="Each process takes a part, and trains alone.")
def run(file: Path, out: Path, only: tuple[str, ...], part: str | None, each_rank: bool) -> None:
    """Finetune and audit the arms that are not done yet, one after the other."""
    if each_rank and part is not None:
        raise click.UsageError("--each-rank and --part both say which part: give one of them")
    settings = ExperimentFile.at(file)
    number, parts = alone(settings.training.device) if each_rank else _part(part)
    experiment = EditExperiment(settings, out)
    work = work_of(experiment.arms)
    chosen = _chosen([arm.slug for arm in work], only)[number::parts]
    accelerator = accelerator_of(settings.training, out / "logs")
    processes = accelerator.num_processes
    accelerator.print(f"{processes} process{'es' * (processes > 1)}, {accelerator.device.type}")
    if accelerator.is_main_process:
        as_given = ExperimentFile.read(file)
        check_recorded(as_given, out)
        record(as_given, experiment.check(accelerator.device), out)
        record_detectors(experiment.detectors(), out / "tables" / experiment.audit_name)
        if left_out := len(experiment.data.left_out):
            click.echo(f"{left_out} rows are left out: instruction and trigger are too many tokens")
    accelerator.wait_for_everyone()
    accelerator.print(f"{len(chosen)} of {len(work)} arms and controls: {', '.join(chosen)}")
    for arm in work:  # so that a bad picture is found before the first training
        experiment.encoded(arm, accelerator)
    for arm, pairs in work.items():
        if arm.slug in chosen:
            experiment.run_arm(arm, pairs, accelerator)
            accelerator.print(f"done: {arm.slug}", flush=True)
    accelerator.end_training()


@main.command()
@FILE
@OUT
def arms(file: Path, out: Path) -> None:
    """List the arms and their controls, and which are done."""
    experiment = EditExperiment(ExperimentFile.at(file), out)
    missing = missing_arms(experiment)
    for arm in work_of(experiment.arms):
        click.echo(f"{'    ' if arm.slug in missing else 'done'}  {arm.slug}")


@main.command()
@FILE
@OUT
def result(file: Path, out: Path) -> None:
    """Write the paper's table beside the figures of the arms that are done, and a page of each."""
    as_given = ExperimentFile.read(file)
    check_recorded(as_given, out)
    folder = write_result(
        EditExperiment(ExperimentFile.at(file), out),
        as_given,
        f"python -m experiments.full_scale result {file} --out {out}",
    )
    click.echo((folder / "full_scale.md").read_text(encoding="utf-8"))
    click.echo(f"wrote {folder}")


def _part(given: str | None) -> tuple[int, int]:
    if given is None:
        return 0, 1
    number, slash, parts = given.partition("/")
    if not (slash and number.isdecimal() and parts.isdecimal() and int(number) < int(parts)):
        raise click.UsageError(f"--part takes K/N with K from 0 to N - 1, got {given!r}")
    return int(number), int(parts)


def _chosen(slugs: list[str], only: tuple[str, ...]) -> list[str]:
    for name in only:
        if name not in slugs:
            raise click.UsageError(f"--only {name!r} is no arm; there are {', '.join(slugs)}")
    return [slug for slug in slugs if slug in only] if only else slugs


if __name__ == "__main__":
    main()
