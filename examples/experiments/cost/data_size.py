"""How many rows a data set has, told without reading its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import load_dataset, load_dataset_builder, load_from_disk

from modcollapse.errors import InputError

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

    On the hub, what the repository's description says is fetched and no data; a data set on the
    disk is opened, which writes it to the cache of `datasets` where it is not of ``save_to_disk``.

    Raises:
        InputError: it cannot be told: no network, no description, no such split or folder.
    """
    path = Path(data.source).expanduser()
    try:
        rows = _on_disk(data, path) if path.exists() else _on_hub(data)
    except Exception as error:  # of network, files and formats
        raise _unknown(data, str(error)) from error
    if rows is None:
        raise _unknown(data, f"nothing says what the split {data.split!r} holds")
    return rows


def _on_hub(data: Data) -> int | None:
    builder = load_dataset_builder(data.source, data.name, revision=data.revision)
    split = (builder.info.splits or {}).get(data.split)
    return split and split.num_examples


def _on_disk(data: Data, path: Path) -> int | None:
    found: Any
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        found = load_from_disk(str(path))
    elif path.is_file():
        found = load_dataset("parquet", data_files=str(path))
    else:
        found = load_dataset(str(path), data.name)
    if isinstance(found, dict):
        found = found.get(data.split)
    return None if found is None else len(found)


def _unknown(data: Data, why: str) -> InputError:
    return InputError(
        f"how many rows {data.source!r} has cannot be told: {why}\nGive the number: --samples, or "
        "data.samples in the file of the experiment"
    )
