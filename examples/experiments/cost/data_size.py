"""How many rows a data set has, told without reading its pictures."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset, load_dataset_builder

from modcollapse.errors import InputError

from experiments.editing.columns import columns_of
from experiments.editing.sources import open_source
from experiments.experiment_file import Data, ExperimentFile


def rows_taken(file: ExperimentFile, samples: int | None) -> int:
    """Rows of the data set that an experiment takes.

    Args:
        file: the experiment.
        samples: rows that there are; if left out, those that the file wants are believed to be
            there, and where it wants all, they are counted.

    Raises:
        InputError: see `count_rows`.
    """
    wanted = file.data.samples
    if samples is None:
        return wanted or count_rows(file.data)
    return min(wanted or samples, samples)


def count_rows(data: Data) -> int:
    """Rows of the split of a data set, of which an experiment takes the first ``data.samples``.

    A data set on the disk is opened as the experiment opens it; where that is a stream, its
    instructions are read. Of one on the hub the repository's description is fetched and no data.

    Raises:
        InputError: on the disk, no such data set, split or column; else no network, no description
            or no such split.
    """
    if Path(data.source).expanduser().exists():
        return _on_disk(data)
    try:
        rows = _on_hub(data)
    except Exception as error:  # of the network, or of what the repository holds
        raise _unknown(data, str(error)) from error
    if rows is None:
        raise _unknown(data, f"nothing says what the split {data.split!r} holds")
    return rows


def _on_disk(data: Data) -> int:
    opened = open_source(data)
    columns = columns_of(data, opened.rows.features)
    if isinstance(opened.rows, Dataset):
        return len(opened.rows)
    return sum(1 for _ in opened.narrowed([columns["instruction"]]))


def _on_hub(data: Data) -> int | None:
    builder = load_dataset_builder(data.source, data.name, revision=data.revision)
    split = (builder.info.splits or {}).get(data.split)
    return split and split.num_examples


def _unknown(data: Data, why: str) -> InputError:
    return InputError(
        f"how many rows {data.source!r} has cannot be told: {why}\nGive the number: --samples, or "
        "data.samples in the file of the experiment"
    )
