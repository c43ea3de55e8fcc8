"""What the backdoor makes the model draw, as the command line names it, and what scores it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from modcollapse.cli._trigger_specs import file_named
from modcollapse.errors import InputError

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class GivenTarget(NamedTuple):
    """A target and how it is scored.

    Attributes:
        picture: its file; None of a target in words.
        words: the words; "" of a picture.
        clip: name, folder or hub id of a CLIP; None without one.
        pretrained: its weights, by their name in open_clip.
        threshold: mean squared error below which an attack succeeds.
    """

    picture: Path | None
    words: str
    clip: str | None
    pretrained: str | None
    threshold: float

    def detectors(self, *, has_reference: bool) -> dict[str, Any]:
        """Name -> detector. Loads a CLIP where one is named.

        Args:
            has_reference: whether examples hold the edit that a clean model makes; else the clean
                output of the audited model stands for it.
        """
        from modcollapse.detectors import ClipShift, ClipText, MSEAttackSuccess

        if self.picture is None:
            return {"CLIP score of the target": ClipText(self.words, self.clip, self.pretrained)}  # type: ignore[arg-type]
        found: dict[str, Any] = {}
        if self.clip is not None:
            reference = "reference" if has_reference else "clean output"
            found["CLIP shift"] = ClipShift(
                self.picture, self.clip, self.pretrained, reference=reference
            )
        success = MSEAttackSuccess(self.picture, self.threshold)
        return {**found, f"attack success (MSE < {self.threshold:g})": success}


def given_target(
    target: str, clip: str | None, threshold: float, base: Path | None, clip_base: Path | None
) -> GivenTarget:
    """Read the target, without loading a model.

    Args:
        target: the file of a picture, or a text.
        clip: ``FOLDER``, hub id, ``NAME`` or ``NAME:WEIGHTS`` of open_clip.
        threshold: mean squared error below which an attack succeeds.
        base: folder that the target's file is named from; None for the working directory.
        clip_base: the same of the CLIP.

    Raises:
        InputError: a file that is not there or no picture; a text without a CLIP.
    """
    picture = file_named(target, base)
    if clip is not None and file_named(clip, clip_base).is_dir():
        name, pretrained = str(file_named(clip, clip_base)), None
    else:
        name, _, weights = (clip or "").partition(":")
        pretrained = weights or None
    if picture.is_file():
        from modcollapse.detectors import NegativeMSE

        NegativeMSE(picture)  # reads the file
        return GivenTarget(picture, "", name or None, pretrained, threshold)
    if target.lower().endswith(_PICTURES):
        raise InputError(f"--target names the picture {picture}, which is not there")
    if not name:
        raise InputError(
            f"--target is the text {target!r}, which a CLIP scores: say which by --clip, a folder, "
            "a hub id, or a name of open_clip such as ViT-B-32:laion2b_s34b_b79k"
        )
    return GivenTarget(None, target, name, pretrained, threshold)
