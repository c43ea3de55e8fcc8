"""An image-edit data set: its ids, its split, its samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from datasets import Dataset
from datasets import Image as ImageColumn
from PIL.Image import Image

from modcollapse.errors import InputError, context

from experiments.editing.columns import PICTURES, columns_of
from experiments.editing.pictures import in_rgb, squared
from experiments.editing.sample import EditSample
from experiments.editing.sources import Rows, open_source
from experiments.editing.splitting import is_held_out
from experiments.editing.texts import read_texts, text_of
from experiments.experiment_file import Data


class EditData:
    """An image-edit data set, split into training and held-out rows.

    Opening it reads the ids and instructions of all rows, and decodes no picture. The samples of a
    stream are those of the same data set on the disk.

    Args:
        data: which one, its columns and its split, as the file of an experiment says.
        resolution: width and height of its pictures, in pixels, which are the square in the middle
            of those of the data set, resized.
        fits: says of an instruction whether it can be used; rows whose instruction cannot are
            neither trained on nor held out.

    Attributes:
        data: which one.
        resolution: width and height of the pictures.
        ids: of all rows; ``row-000123`` where no column holds them.
        training: positions of the rows that are trained on, ascending.
        held_out: positions of the others, see `experiments.editing.splitting`.
        left_out: positions of the rows whose instruction does not fit.

    Raises:
        InputError: no such data set, split or column; a column of another kind; an id that is none
            or comes twice; a row without an instruction; no row for training, or none held out.
    """

    def __init__(
        self, data: Data, resolution: int, fits: Callable[[str], bool] = lambda instruction: True
    ) -> None:
        self.data = data
        self.resolution = resolution
        opened = open_source(data)
        self._columns = columns_of(data, opened.rows.features)
        texts = [column for role, column in self._columns.items() if role not in PICTURES]
        self.ids, self._instructions = read_texts(
            _first(opened.narrowed(texts), data.samples), self._columns, data.source
        )
        rows = opened.narrowed(list(self._columns.values()))
        for role in PICTURES:  # so that they are decoded here, where a fault has a name
            rows = rows.cast_column(self._columns[role], ImageColumn(decode=False))
        self._rows = rows
        fit = {text: fits(text) for text in dict.fromkeys(self._instructions)}
        used = [at for at, text in enumerate(self._instructions) if fit[text]]
        held_out = {at for at in used if is_held_out(self.ids[at], data.held_out)}
        self.training = tuple(at for at in used if at not in held_out)
        self.held_out = tuple(sorted(held_out))
        self.left_out = tuple(sorted({*range(len(self))} - {*used}))
        if not (self.training and self.held_out):
            raise InputError(
                f"data.held_out = {data.held_out} leaves {len(self.training)} of the {len(self)} "
                f"rows of {data.source!r} for training and holds out {len(self.held_out)}; both "
                f"must be some{self._told_left_out()}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def digest(self) -> str:
        """What tells these rows from others: their ids, their instructions, which are used how.

        Pictures are not read for it.
        """
        rows = [self.ids, self._instructions, self.training, self.held_out, self.resolution]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def _told_left_out(self) -> str:
        if not self.left_out:
            return ""
        return f" ({len(self.left_out)} rows are left out, since their instruction does not fit)"

    def samples(self, positions: Sequence[int]) -> Iterator[EditSample]:
        """Read some rows; of a stream in one pass, else each where it lies.

        Args:
            positions: of the rows, ascending.

        Returns:
            Their samples, in this order, each read when it is asked for.

        Raises:
            InputError: positions that do not ascend, or that no row has. Later, at a sample: a
                picture that cannot be read, is not RGB (see `Data.convert`) or not of the size of
                the one beside it; a data set that is not what it was when it was opened.
        """
        for before, after in pairwise(positions):
            if before >= after:
                raise InputError(f"positions must ascend, but {after} comes after {before}")
        if len(positions) and not 0 <= positions[0] <= positions[-1] < len(self):
            raise InputError(
                f"positions run from {positions[0]} to {positions[-1]}, but {self.data.source!r} "
                f"has the rows 0 to {len(self) - 1}"
            )
        on_disk = isinstance(self._rows, Dataset)
        rows = map(self._rows.__getitem__, positions) if on_disk else self._streamed(positions)
        return map(self._sample, positions, rows)

    def _streamed(self, positions: Sequence[int]) -> Iterator[dict[str, Any]]:
        left = iter(positions)
        wanted = next(left, None)
        with context(f"while streaming {self.data.source!r}"):
            for position, row in enumerate(self._rows):
                if wanted is None:
                    return
                if position == wanted:
                    yield row
                    wanted = next(left, None)
        if wanted is not None:
            raise InputError(
                f"{self.data.source!r} ended before its row {wanted}; when it was opened, it had "
                f"{len(self)} rows"
            )

    def _sample(self, position: int, row: dict[str, Any]) -> EditSample:
        expected = self.ids[position], self._instructions[position]
        found = text_of(row, self._columns, position)
        if found != expected:
            raise InputError(
                f"{self.data.source!r} has changed since it was opened: the id and instruction of "
                f"its row {position} were {expected}, now they are {found}"
            )
        source, edited = (self._picture(row, role, expected[0]) for role in PICTURES)
        if source.size != edited.size:
            sizes = [
                f"{self._columns[role]!r} {picture.width} x {picture.height}"
                for role, picture in zip(PICTURES, (source, edited), strict=True)
            ]
            raise InputError(
                f"row {expected[0]!r} of {self.data.source!r}: a picture and its edit must be of "
                f"one size, got {' and '.join(sizes)} pixels"
            )
        return EditSample(
            source=squared(source, self.resolution),
            instruction=expected[1],
            edited=squared(edited, self.resolution),
            id=expected[0],
        )

    def _picture(self, row: dict[str, Any], role: str, sample_id: str) -> Image:
        column = self._columns[role]
        where = f"row {sample_id!r} of {self.data.source!r}, data.columns.{role} = {column!r},"
        if row[column] is None:
            raise InputError(f"{where} holds no picture")
        try:
            picture = ImageColumn().decode_example(row[column])
        except Exception as error:  # a decoder raises what it likes
            raise InputError(f"{where} cannot be read as a picture: {error}") from error
        return in_rgb(picture, where, convert=self.data.convert)


def _first(rows: Rows, count: int) -> Rows:
    """The first rows, at most so many; all if 0."""
    if isinstance(rows, Dataset):
        count = min(count, len(rows))
    return rows.take(count) if count else rows
