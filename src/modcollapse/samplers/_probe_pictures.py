"""A look at how a pipeline reads pictures: arrays as PIL images, videos to their ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modcollapse._support.images import channels_last, float_tensor, is_uint8
from modcollapse._support.pictures import is_pil
from modcollapse._support.validation import listed
from modcollapse.errors import InputError, SamplerError
from modcollapse.samplers._kinds import Kind
from modcollapse.samplers._probe import Generate, distance


def probe_pictures(
    generate: Generate,
    conditions: Mapping[str, Sequence[Any]],
    kinds: Mapping[str, Kind],
    seed: int,
    rounding: float,
    name: str,
) -> list[str]:
    """Compare arrays and tensors with PIL images of the same pixels, and look at ends of videos.

    Args:
        generate: conditions and seeds of B rows -> B tensors.
        conditions: modality -> conditions, of which the first are looked at.
        kinds: modality -> what it is.
        seed: of the row.
        rounding: what two computations of the same output may differ by, in units of the output.
        name: of the pipeline, for errors.

    Returns:
        Notes.

    Raises:
        InputError: arrays make another output than PIL images.
    """
    own = {modality: list(rows[:1]) for modality, rows in conditions.items()}
    pictures, notes = dict(own), list[str]()
    for modality, kind in kinds.items():
        (row,) = own[modality]
        pictured = kind in ("image", "mask", "video")
        if pictured and not is_pil(row[0] if isinstance(row, list | tuple) else row):
            own[modality], pictures[modality] = ([one] for one in _as_both(row, kind))
    arrays = [modality for modality, rows in own.items() if rows is not pictures[modality]]
    videos = [modality for modality, kind in kinds.items() if kind == "video"]
    if not arrays and not videos:
        return notes
    first = generate(own, [seed])
    if arrays:
        try:
            apart = distance(first, generate(pictures, [seed]))
        except SamplerError:
            notes.append(f"{listed(arrays)} were not compared with PIL images, which fail")
        else:
            if apart > rounding:
                raise InputError(
                    f"{name} reads the arrays or tensors of {listed(arrays)} in another way than "
                    f"PIL images of the same pixels: the output moves by {apart:.2g} of the range. "
                    "It rescales the values a second time, or resizes by another filter. Give PIL "
                    "images: Image.fromarray((255 * array).round().astype(np.uint8))"
                )
    for modality in videos:
        for at, place in ((0, "first"), (-1, "last")):
            others = {**own, modality: [_with_frame_inverted(own[modality][0], at)]}
            if distance(first, generate(others, [seed])) == 0:
                notes.append(f"the pipeline does not read the {place} frame of {modality!r}")
    return notes


def _as_both(condition: Any, kind: Kind) -> tuple[Any, Any]:
    """An array, a tensor or a video of them at 8 bits: in the form in which it came, and as PIL."""
    if kind == "video":
        frames = [_as_both(frame, "image") for frame in condition]
        return _like(condition, [own for own, _ in frames]), [picture for _, picture in frames]
    from PIL import Image

    array = channels_last(condition)
    if not is_uint8(condition):
        array = (255 * array.astype(np.float32)).round().astype(np.uint8)
    picture = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    if isinstance(condition, np.ndarray):
        return array, picture
    return float_tensor(array).to(condition.device), picture


def _with_frame_inverted(video: Any, at: int) -> Any:
    """A video one of whose frames is in the opposite colours."""
    frames = list(video)
    if is_pil(frames[at]):
        from PIL import Image

        frames[at] = Image.fromarray(255 - np.asarray(frames[at]))
    else:
        frames[at] = (255 if is_uint8(frames[at]) else 1) - frames[at]
    return _like(video, frames)


def _like(video: Any, frames: list[Any]) -> Any:
    """Frames in the form of a video: an array, a tensor or a list."""
    if isinstance(video, np.ndarray):
        return np.stack(frames)
    if isinstance(video, list | tuple):
        return frames
    import torch

    return torch.stack(frames)
