"""The table of values: all that the metrics, the tests and the report ever look at."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modcollapse._support.markup import html_lines, html_table
from modcollapse._support.validation import (
    bounds_of,
    described,
    did_you_mean,
    file_path,
    flag,
    listed,
    ordered,
    whole,
)
from modcollapse.contracts import CoalitionTensor, ExampleId, FloatArray
from modcollapse.errors import InputError, MissingExtraError, TableError, context
from modcollapse.game import coalition_labels, n_players
from modcollapse.table import _file
from modcollapse.table._kept import Kept, kept_examples
from modcollapse.table._kept_files import (
    drop_kept,
    is_kept_there,
    read_all_kept,
    write_all_kept,
)
from modcollapse.table._neutral_values import NeutralValues
from modcollapse.table._provenance import (
    Pairing,
    check_paired,
    check_same_run,
    joined,
    merged_provenance,
)

ROUNDING = 1e-5
"""What a value may leave its bounds by, in their width: bounds are exact, float32 is not."""


@dataclass(frozen=True, eq=False)
class CoalitionTable:
    """Value of every example, repeat and coalition, and what produced it.

    Attributes:
        values: v_x(S), float64 of shape (N, R, 2**M), finite; bit i of a column stands for
            ``modalities[i]``: column 0 is the clean run, the last has every trigger.
        modalities: names of the M players, in order.
        example_ids: names of the N examples, in order.
        seeds: seed of the noise of each example and repeat, shape (N, R); None if unknown.
        digests: digest of what each example holds, its references included; None where unknown.
        bounds: lowest and highest value that is possible; None if unknown.
        binary: True where every value is 0 or 1, as of an attack success.
        discrete: True where the values are 0 and 1, or differences of such.
        perfect: what a perfect attack would score in each example, shape (N,); None if unknown.
        clusters: label of the group that each example belongs to, N of them; the groups are the
            unit of all inference. None where each example stands for itself.
        difference: True where the values are differences of two tables.
        neutral: values under triggers that are not the trigger; None where none was asked for.
        fields: what the examples hold of plain values (texts up to 200 characters, numbers), for
            groups: name -> N of them, None where an example lacks it.
        provenance: ``"run"`` (what must agree for tables to be merged), ``"environments"``
            (versions), ``"notes"``, ``"looks"`` (sizes at which stopping was considered); plain
            data.
        kept: outputs kept for a gallery, and what they were generated from.
    """

    values: CoalitionTensor
    modalities: tuple[str, ...]
    example_ids: tuple[ExampleId, ...]
    seeds: NDArray[np.int64] | None = None
    digests: tuple[str | None, ...] | None = None
    bounds: tuple[float, float] | None = None
    binary: bool = False
    discrete: bool = False
    perfect: FloatArray | None = None
    clusters: tuple[Any, ...] | None = None
    difference: bool = False
    neutral: NeutralValues | None = None
    fields: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        values.setflags(write=False)
        object.__setattr__(self, "binary", flag(self.binary, "binary"))
        object.__setattr__(self, "modalities", tuple(self.modalities))
        object.__setattr__(self, "example_ids", tuple(map(plain_id, self.example_ids)))
        if values.ndim != 3 or not values.size:
            raise InputError(f"values must have shape (N, R, 2**M), got {values.shape}")
        if n_players(values) != len(self.modalities):
            raise InputError(
                f"values has {values.shape[-1]} coalitions, but {len(self.modalities)} modalities "
                f"{self.modalities!r} make {2 ** len(self.modalities)}"
            )
        if len(self.example_ids) != len(values) or len(set(self.example_ids)) != len(values):
            raise InputError(
                f"example_ids must hold {len(values)} unique ids, one for each row of values; "
                f"got {len(self.example_ids)}, {len(set(self.example_ids))} of them unique"
            )
        if self.seeds is not None and np.shape(self.seeds) != values.shape[:2]:
            raise InputError(
                f"seeds must have shape (N, R) = {values.shape[:2]}, got {np.shape(self.seeds)}"
            )
        bad = np.argwhere(~np.isfinite(values))
        if bad.size:
            example, _, column = bad[0]
            raise InputError(
                f"values must be finite, got {values[tuple(bad[0])]} for example "
                f"{self.example_ids[example]!r}, coalition {self.coalitions[column]}"
            )
        coalition_labels(self.modalities)  # refuses names that no label could tell apart
        if any("+" in name for name in self.modalities):
            raise InputError(f"a modality is named without '+', got {self.modalities!r}")
        bounds = bounds_of(self.bounds, "bounds")
        if bounds is not None:
            slack = ROUNDING * (bounds[1] - bounds[0])
            if values.min() < bounds[0] - slack or values.max() > bounds[1] + slack:
                raise InputError(
                    f"values reach from {values.min():g} to {values.max():g}, outside the bounds "
                    f"{bounds}; intervals rely on them. Correct the bounds or leave them out"
                )
        if self.binary and not np.isin(values, (0.0, 1.0)).all():
            raise InputError("a binary table holds values 0 and 1 only")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "bounds", bounds)
        if self.binary:
            object.__setattr__(self, "discrete", True)
            object.__setattr__(self, "bounds", bounds or (0.0, 1.0))
        if self.perfect is not None:
            perfect = _perfect_scores(self.perfect, self.example_ids)
            _check_within(perfect, self.bounds)
            object.__setattr__(self, "perfect", perfect)
        if self.clusters is not None:
            object.__setattr__(self, "clusters", cluster_labels(self.clusters, self.example_ids))
        object.__setattr__(self, "fields", _plain_fields(self.fields, self.example_ids))
        if self.neutral is not None:
            self.neutral.check_of(self.modalities, values.shape[:2])

    @classmethod
    def from_values(
        cls,
        values: ArrayLike,
        modalities: Sequence[str],
        *,
        example_ids: Sequence[ExampleId] | None = None,
        bounds: tuple[float, float] | None = None,
        binary: bool = False,
        perfect: ArrayLike | None = None,
        clusters: Sequence[Any] | None = None,
        fields: Mapping[str, Sequence[Any]] | None = None,
        kept: Sequence[Kept] = (),
    ) -> CoalitionTable:
        """Make a table of values that were measured elsewhere.

        Args:
            values: v_x(S), shape (N, 2**M) or (N, R, 2**M), any unit; or a data frame whose columns
                are the labels of the coalitions (``"none"``, ``"image"``, ...), in any order, and
                whose index names the examples.
            modalities: names of the M players; bit i of a column stands for the i-th.
            example_ids: N unique names; the positions if left out.
            bounds: lowest and highest possible value, where known.
            binary: every value is 0 or 1.
            perfect: what a perfect attack would score, a number, or N of them: the scale of a
                verdict. Of 0/1 values it is 1 if left out.
            clusters: label of the group that each example belongs to, N of them.
            fields: name -> what each example says of itself, N plain values, for groups.
            kept: examples for the gallery, each with its 2**M outputs in the order of the columns.

        Raises:
            InputError: shapes do not fit together, or a value is not finite.

        >>> CoalitionTable.from_values([[0, 0, 1, 1]], ["image", "text"])
        CoalitionTable(1 example, 1 repeat, modalities image, text)
        """
        if isinstance(modalities, str | Set) or not isinstance(modalities, Iterable):
            raise InputError(
                "modalities must be a sequence of names, since their order is that of the columns; "
                f"got {described(modalities)}"
            )
        array, index = _numbers_and_index(values, modalities)
        array = array[:, None] if array.ndim == 2 else array
        index = range(len(array)) if index is None else index
        ids = index if example_ids is None else example_ids
        if not isinstance(ids, str):  # of which each letter is an id
            ids = ordered(ids, "example_ids", "ids")
        table = cls(
            array,
            tuple(modalities),
            tuple(ids),
            bounds=bounds,
            binary=binary,
            perfect=perfect,  # type: ignore[arg-type]  # as many as there are rows, once inside
            clusters=clusters,  # type: ignore[arg-type]  # a tuple once inside
            fields=fields or {},  # type: ignore[arg-type]  # tuples once inside
        )
        return table if isinstance(kept, tuple) and not kept else table.with_kept(kept)

    def __repr__(self) -> str:
        n, r, _ = self.values.shape
        names = ", ".join(name if name.isprintable() else repr(name) for name in self.modalities)
        return (
            f"CoalitionTable({n} example{'s' * (n > 1)}, {r} repeat{'s' * (r > 1)}, "
            f"modalities {names})"
        )

    def _repr_html_(self) -> str:
        means = self.values.mean(axis=(0, 1))
        lowest, highest = (end(axis=(0, 1)) for end in (self.values.min, self.values.max))
        rows = [
            [label, *(f"{number:.4g}" for number in figures)]
            for label, *figures in zip(self.coalitions, means, lowest, highest, strict=True)
        ]
        return html_lines(repr(self)) + html_table(["v(S)", "mean", "lowest", "highest"], rows)

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.values)

    @property
    def coalitions(self) -> tuple[str, ...]:
        """Label of each column, such as ``("none", "image", "text", "image+text")``."""
        return coalition_labels(self.modalities)

    @cached_property
    def zero_one(self) -> bool:
        """Whether every value is 0 or 1, declared or not, and nothing declared says otherwise."""
        if self.binary or self.difference:
            return self.binary
        if self.bounds not in (None, (0.0, 1.0)):
            return False
        if self.perfect is not None and (self.perfect != 1).any():
            return False
        return bool(((self.values == 0) | (self.values == 1)).all())

    def clustered(self, labels: Iterable[Any]) -> CoalitionTable:
        """Return the table with groups of examples as the unit of all inference.

        Args:
            labels: label of the group that each example belongs to, N of them: the source image,
                where one image has several instructions.

        Raises:
            InputError: not N labels, or one is missing.
        """
        return replace(self, clusters=cluster_labels(labels, self.example_ids))

    @cached_property
    def example_values(self) -> FloatArray:
        """Values averaged over the repeats, shape (N, 2**M), since the example is the unit."""
        mean: FloatArray = (
            self.values[:, 0] if self.values.shape[1] == 1 else self.values.mean(axis=1)
        )
        mean.setflags(write=False)
        return mean

    def select(self, example_ids: Iterable[ExampleId]) -> CoalitionTable:
        """Return the table of these examples, in the order given.

        Raises:
            InputError: an id is not in the table.
        """
        position = {example_id: row for row, example_id in enumerate(self.example_ids)}
        wanted = ordered(example_ids, "example_ids", "ids")
        if not wanted:
            raise InputError("select() was given no id, and a table holds one example at least")
        missing = [example_id for example_id in wanted if example_id not in position]
        if missing:
            close = did_you_mean(missing[0], [one for one in position if isinstance(one, str)])
            raise InputError(f"the table has no example {missing[0]!r}; it has {len(self)}{close}")
        rows = [position[example_id] for example_id in wanted]
        return replace(
            self,
            values=self.values[rows],
            example_ids=tuple(wanted),
            seeds=None if self.seeds is None else self.seeds[rows],
            digests=None if self.digests is None else tuple(self.digests[row] for row in rows),
            perfect=None if self.perfect is None else self.perfect[rows],
            clusters=None if self.clusters is None else tuple(self.clusters[row] for row in rows),
            neutral=self.neutral and self.neutral.select(rows),
            fields={name: tuple(held[row] for row in rows) for name, held in self.fields.items()},
            kept=tuple(kept for kept in self.kept if kept.id in set(wanted)),
        )

    def merge(self, other: CoalitionTable) -> CoalitionTable:
        """Return the table of the examples of both, those of ``other`` last.

        Raises:
            TableError: the tables are not of one run (seed, repeats, batch size, triggers, sampler
                and detector must agree), or share an example.
        """
        _check_table(other, "merge with")
        check_same_run(self.pairing.run, other.pairing.run, "merge tables")
        shared = set(self.example_ids) & set(other.example_ids)
        if shared:
            raise TableError(
                f"cannot merge: {len(shared)} example(s) are in both tables, such as "
                f"{min(shared, key=str)!r}. Select the others first; or, where the ids are "
                "positions, give every example an id of its own"
            )
        if (self.clusters is None) != (other.clusters is None):
            raise TableError(
                "cannot merge: only one of the tables says which group each example belongs to. "
                "Give the other its labels by clustered()"
            )
        if (self.perfect is None) != (other.perfect is None):
            raise TableError(
                "cannot merge: only one of the tables says what a perfect attack would score. "
                "Measure the other with the same detector, or make it with perfect="
            )
        return replace(
            self,
            values=np.concatenate([self.values, other.values]),
            example_ids=self.example_ids + other.example_ids,
            seeds=joined(self.seeds, other.seeds),
            digests=self.digests and other.digests and self.digests + other.digests,
            perfect=joined(self.perfect, other.perfect),
            clusters=self.clusters and other.clusters and self.clusters + other.clusters,
            neutral=self.neutral and other.neutral and self.neutral.merge(other.neutral),
            fields={
                name: self._field(name) + other._field(name)
                for name in {**self.fields, **other.fields}
            },
            provenance=merged_provenance(self.provenance, other.provenance),
            kept=self.kept + other.kept,
        )

    def _field(self, name: str) -> tuple[Any, ...]:
        return self.fields.get(name, (None,) * len(self))

    def minus(self, control: CoalitionTable) -> CoalitionTable:
        """Return the table of differences from a control, paired by example and seed.

        A trigger can shift the value where there is no backdoor; what belongs to the backdoor is
        the difference from the same run on a model without one.

        Args:
            control: the same examples (in any order), seeds, triggers and detector; another
                sampler.

        Raises:
            TableError: the runs differ in anything but the sampler, or in their examples, which
                are compared by id and, where they can be, by what they hold.

        >>> model = CoalitionTable.from_values([[0.1, 0.3, 0.9, 0.9]], ["image", "text"])
        >>> clean = CoalitionTable.from_values([[0.1, 0.3, 0.1, 0.3]], ["image", "text"])
        >>> model.minus(clean).values.round(3).tolist()
        [[[0.0, 0.0, 0.8, 0.6]]]
        """
        _check_table(control, "subtract")
        check_paired(self.pairing, control.pairing)
        control = control.select(self.example_ids)
        bounds = (0.0, 1.0) if self.zero_one and control.zero_one else self.bounds
        provenance = merged_provenance(self.provenance, control.provenance)
        if "run" in provenance:
            sampler = control.provenance["run"].get("sampler")
            provenance["run"] = {**provenance["run"], "control": sampler}
        return replace(
            self,
            values=self.values - control.values,
            bounds=None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0]),
            binary=False,
            discrete=(self.discrete or self.zero_one) and (control.discrete or control.zero_one),
            perfect=self._perfect_beside(control),
            clusters=control.clusters if self.clusters is None else self.clusters,
            difference=True,
            neutral=self.neutral and control.neutral and self.neutral.minus(control.neutral),
            provenance=provenance,
            kept=(),
        )

    def _perfect_beside(self, control: CoalitionTable) -> FloatArray | None:
        """What a perfect attack on this model would make the difference: 1 minus v(none) there."""
        perfect = np.ones(len(self)) if self.perfect is None and self.zero_one else self.perfect
        return None if perfect is None else perfect - control.example_values[:, 0]

    @property
    def run_notes(self) -> tuple[str, ...]:
        """What a run has found or could not look at, which is printed with every result."""
        return tuple(map(str, self.provenance.get("notes", ())))

    @property
    def looks(self) -> tuple[int, ...]:
        """Sizes at which stopping was considered, over which all claims hold together."""
        return tuple(self.provenance.get("looks", {}).get("at", ()))

    def looked_at_with(self, other: CoalitionTable) -> CoalitionTable:
        """Return the table with the looks of another, whose examples were chosen by them."""
        if len(self.looks) >= len(other.looks):
            return self
        looks = other.provenance["looks"]
        return replace(self, provenance={**self.provenance, "looks": looks})

    @property
    def pairing(self) -> Pairing:
        """What must agree with a control, but for the sampler, and with a table to merge with."""
        run = {
            **self.provenance.get("run", {}),
            "modalities": list(self.modalities),
            "repeats": self.values.shape[1],
            "bounds": self.bounds,
            "binary": self.binary,
        }
        return Pairing(run, self.example_ids, self.seeds, self.digests, self.clusters)

    def with_kept(self, kept: Iterable[Kept]) -> CoalitionTable:
        """Return the table with other examples for the gallery.

        Args:
            kept: any number, each with its 2**M outputs in the order of the columns; none takes
                the gallery away.

        Raises:
            InputError: one is of no example of the table, comes twice, or lacks an output.
        """
        checked = kept_examples(kept, self.example_ids, self.values.shape[-1])
        return replace(self, kept=checked)

    def save(self, path: str | Path) -> Path:
        """Write the table as plain arrays and JSON text in a NumPy archive (no pickle).

        What is kept for the gallery goes into a folder beside it, ``run.kept`` of ``run.npz``: a
        folder for each example with PNG pictures, JSON and safetensors. The table appears whole or
        not at all, and only once its gallery is there; until then the old one is, with its own.

        Raises:
            InputError: an output or a triggered condition cannot be saved. The table is written
                without a gallery.
            MissingExtraError: safetensors is not installed, and arrays or tensors are kept. The
                table is written without a gallery.
            FileNotFoundError: there is no such folder.

        Warns:
            UserWarning: something in a kept example cannot be saved, and is left out.
        """
        path = file_path(path)
        before, folder = _file.gallery_of(path), _file.gallery_folder(path)
        try:
            names = write_all_kept(folder, self.kept)
        except (InputError, MissingExtraError) as error:
            self._write(path, folder, [])
            error.add_note(f"The table was written to {path}, without a gallery")
            raise
        self._write(path, folder, names)
        drop_kept(folder, set(before) - set(names))
        return path

    def _write(self, path: Path, folder: Path, names: Sequence[str]) -> None:
        header = {
            "modalities": self.modalities,
            "example_ids": self.example_ids,
            "digests": self.digests,
            "bounds": self.bounds,
            "binary": self.binary,
            "discrete": self.discrete,
            "perfect": None if self.perfect is None else self.perfect.tolist(),
            "clusters": self.clusters,
            "difference": self.difference,
            "neutral": self.neutral
            and {"triggers": self.neutral.triggers, "values": self.neutral.values.tolist()},
            "fields": self.fields,
            "provenance": self.provenance,
            "kept": {"folder": folder.name, "names": list(names)} if names else None,
        }
        _file.write(path, header, self.values, self.seeds)

    @classmethod
    def load(cls, path: str | Path) -> CoalitionTable:
        """Read a table that ``save`` wrote, with its gallery.

        Raises:
            FileNotFoundError: there is no such file.
            TableError: the file is truncated, of another version, or not a table of ours; or what
                is kept beside it is damaged.
            MissingExtraError: what is kept needs safetensors or Pillow, which is not installed.

        Warns:
            UserWarning: the folder of its gallery is not there; it is loaded without.
        """
        path = file_path(path)
        if path.is_dir():
            raise TableError(
                f"{path} is a folder, and a table is a file. mc.table.load reads the table of a "
                "journal, mc.load_audit what audit.save wrote"
            )
        header, values, seeds = _file.read(path)
        try:
            table = cls(
                values=values,
                modalities=tuple(header["modalities"]),
                example_ids=tuple(header["example_ids"]),
                seeds=seeds,
                digests=None if header["digests"] is None else tuple(header["digests"]),
                bounds=header["bounds"],
                binary=header["binary"],
                discrete=header["discrete"],
                perfect=header.get("perfect"),  # these five came after version 0.1.0
                clusters=header.get("clusters"),
                difference=header.get("difference", False),
                neutral=header.get("neutral") and NeutralValues(**header["neutral"]),
                fields=header.get("fields", {}),
                provenance=header["provenance"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(f"{path} does not hold a consistent table: {error!r}") from error
        names = _file.names_of_gallery(header, path)
        if not names:
            return table
        folders = _file.galleries(path, header)
        folder = next((one for one in folders if is_kept_there(one, names)), None)
        if folder is None:
            warnings.warn(
                f"{path} was saved with a gallery of {len(names)} examples, which is not in "
                f"{_file.gallery_folder(path)}: it is loaded without. Move the folder along with "
                "the table",
                stacklevel=2,
            )
            return table
        with context(f"in the gallery of {path}; without its folder the table loads alone"):
            kept = read_all_kept(folder, names)
            try:
                return table.with_kept(kept)
            except InputError as error:
                raise TableError(f"{folder} is no gallery of {path}: {error}") from error


def _numbers_and_index(
    values: Any, modalities: Sequence[str]
) -> tuple[FloatArray, Sequence[ExampleId] | None]:
    """Values as floats, those of a data frame by its labels, and the names of its rows."""
    index = None
    if hasattr(values, "columns") and hasattr(values, "index"):
        labels = coalition_labels(modalities)
        columns = [str(column) for column in values.columns]
        if sorted(columns) != sorted(labels):
            raise InputError(
                f"the columns of a data frame must be the coalitions {listed(labels)}, in any "
                f"order; got {listed(columns)}"
            )
        index = [plain_id(name, "the index of a data frame") for name in values.index.tolist()]
        values = values.to_numpy()[:, [columns.index(label) for label in labels]]
    if isinstance(values, Mapping) or np.ma.isMaskedArray(values):
        raise InputError(
            f"values must be numbers by position, or a data frame, got {described(values)}; fill "
            "what is masked, and bring a mapping to one of these"
        )
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"values do not make an array: {error}") from error
    if array.dtype == object and all(isinstance(value, Real) for value in array.flat):
        array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        raise InputError(f"values must be real numbers, got dtype {array.dtype}")
    return array.astype(np.float64), index


def _check_table(other: Any, what: str) -> None:
    if not isinstance(other, CoalitionTable):
        raise InputError(f"a table can only {what} another CoalitionTable, got {described(other)}")


def _perfect_scores(perfect: Any, ids: Sequence[ExampleId]) -> FloatArray:
    """What a perfect attack would score, as a read-only array of its own, shape (n,)."""
    perfect, n = _in_order(perfect, ids, "perfect"), len(ids)
    try:
        given = np.asarray(perfect)
        scores = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"perfect must be a number, or {n} of them; got {perfect!r}") from error
    if given.dtype.kind not in "fiub":
        raise InputError(f"perfect must be a number, or {n} of them; got {perfect!r}")
    scores = np.full(n, scores) if scores.ndim == 0 else scores
    if scores.shape != (n,) or not np.isfinite(scores).all():
        raise InputError(
            f"perfect must be a finite number, or one for each of the {n} examples; got "
            f"{'not finite ones' if scores.shape == (n,) else f'shape {scores.shape}'}"
        )
    scores.setflags(write=False)
    return scores


def _check_within(perfect: FloatArray, bounds: tuple[float, float] | None) -> None:
    if bounds is None:
        return
    low, high = bounds
    slack = ROUNDING * (high - low)
    if perfect.min() < low - slack or perfect.max() > high + slack:
        raise InputError(
            f"perfect must be within the bounds {bounds} of the value; got {perfect.min():g} to "
            f"{perfect.max():g}. It is what the target itself would score"
        )


def _in_order(given: Any, ids: Sequence[ExampleId], what: str) -> Any:
    """A series of pandas in the order of the ids; all else as it is."""
    if not (hasattr(given, "index") and hasattr(given, "iloc")):
        return given
    rows = {label: row for row, label in enumerate(given.index.tolist())}
    if rows.keys() == set(ids):
        return given.iloc[[rows[example_id] for example_id in ids]].to_numpy()
    if list(rows) == list(range(len(ids))):  # it was given no index
        return given.to_numpy()
    raise InputError(
        f"{what} is a series whose index is not the ids of the examples: it begins with "
        f"{listed(list(rows)[:3])}, the ids begin with {listed(ids[:3])}. Give it that index, or "
        "give .to_numpy() in the order of the examples"
    )


def _plain_fields(
    fields: Mapping[str, Sequence[Any]], ids: Sequence[ExampleId]
) -> dict[str, tuple[Any, ...]]:
    """Fields of the examples by name, as tuples of plain values."""
    if not isinstance(fields, Mapping):
        raise InputError(f"fields must be a mapping name -> values, got {described(fields)}")
    found = {}
    for name, held in fields.items():
        values = tuple(
            value.item() if isinstance(value, np.generic) else value
            for value in ordered(
                _in_order(held, ids, f"fields[{name!r}]"), f"fields[{name!r}]", "values"
            )
        )
        if len(values) != len(ids):
            raise InputError(f"fields[{name!r}] holds {len(values)} values for {len(ids)} examples")
        wrong = [value for value in values if not isinstance(value, str | int | float | None)]
        if wrong:
            raise InputError(f"fields[{name!r}] must hold plain values, got {described(wrong[0])}")
        found[str(name)] = values
    return found


def cluster_labels(labels: Iterable[Any], ids: Sequence[ExampleId]) -> tuple[Any, ...]:
    """Plain labels of groups, one for each example."""
    labels, n = _in_order(labels, ids, "cluster"), len(ids)
    if isinstance(labels, str | bytes | Mapping | Set) or not isinstance(labels, Iterable):
        raise InputError(
            f"cluster labels must be {n} labels in the order of the examples, got "
            f"{described(labels)}"
        )
    plain = tuple(label.item() if isinstance(label, np.generic) else label for label in labels)
    if len(plain) != n:
        raise InputError(f"there are {len(plain)} cluster labels for {n} examples; give one each")
    for position, label in enumerate(plain):
        if not isinstance(label, str | int) or isinstance(label, bool):
            raise InputError(
                f"the cluster label of example {position} must be a str or an int, got {label!r}"
            )
    return plain


def plain_id(example_id: Any, what: str = "an example id") -> ExampleId:
    """Return an id as a plain str or int; InputError if it is something else."""
    if type(example_id) is int:
        return example_id
    if isinstance(example_id, str):
        return str(example_id)
    try:
        return whole(example_id, what)
    except InputError:
        raise InputError(f"{what} must be a str or an int, got {example_id!r}") from None
