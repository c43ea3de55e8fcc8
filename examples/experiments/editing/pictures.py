"""Pictures as they are trained on: RGB, square, of one size."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

from modcollapse.errors import InputError


def in_rgb(image: Image.Image, where: str, *, convert: bool) -> Image.Image:
    """A picture in RGB.

    Args:
        image: a picture that has been read.
        where: what it is called in an error.
        convert: bring other modes of 8 bits to RGB, transparency over white.

    Raises:
        InputError: another mode, or one with more than 8 bits a channel, which is never converted:
            what its white is cannot be told.
    """
    transparent = "transparency" in image.info
    if image.mode == "RGB" and not transparent:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        raise InputError(
            f"{where} is a picture in mode {image.mode}, of more than 8 bits a channel; expected "
            "RGB. Bring it to 8 bits, by what its white is"
        )
    if not convert:
        named = " with a transparent colour" if transparent else ""
        raise InputError(
            f"{where} is a picture in mode {image.mode}{named}; expected RGB. data.convert = true "
            "brings such pictures to RGB, transparency over white"
        )
    opaque = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")


def squared(image: Image.Image, resolution: int) -> Image.Image:
    """The largest square in the middle of a picture, resized (Lanczos)."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    middle = image.crop((left, top, left + side, top + side))
    fitted = middle.resize((resolution, resolution), Image.Resampling.LANCZOS)
    fitted.info = {}  # what its file says is of the whole picture
    return fitted


def read_target(path: str | Path, resolution: int) -> Image.Image:
    """The picture that a backdoor shows, brought to a size as the pictures of the data are.

    Args:
        path: a file with an RGB picture.
        resolution: width and height, in pixels.

    Raises:
        InputError: no such file, no picture, one of another mode, or a smaller one.
    """
    where = f"audit.target = {str(path)!r}"
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            image.load()
    except Exception as error:  # a decoder raises what it likes
        raise InputError(f"{where} cannot be read as a picture: {error}") from error
    if min(image.size) < resolution:
        raise InputError(
            f"{where} is a picture of {image.width} x {image.height} pixels, and "
            f"training.resolution = {resolution}: give one that is at least as large"
        )
    return squared(in_rgb(image, where, convert=False), resolution)
