"""What a PIL.Image shows: read as diffusers and transformers read it, or refused where they differ.

It counts as `numpy.asarray` reads it: its current frame, without its colour profile, as the
libraries of the field do. Where these disagree on what it shows, it is refused: EXIF data turn it,
or pixels that it names transparent would show. Pillow is not imported to look at one.
"""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, Any

from modcollapse.errors import InputError

if TYPE_CHECKING:
    import PIL.Image

_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_ORIENTATION = 0x0112  # the tag of EXIF


def is_pil(value: object) -> bool:
    """Whether ``value`` is a ``PIL.Image``; Pillow is not imported to find out."""
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)  # a thread may be importing it
    return kind is not None and isinstance(value, kind)


def read_picture(path: str | os.PathLike[str] | IO[bytes], refusal: str) -> PIL.Image.Image:
    """Return the first frame of a picture file, as it is stored.

    Args:
        path: a file that exists, or its content.
        refusal: beginning of the message if it holds no picture.

    Raises:
        InputError: Pillow cannot read it, or not to its end.
        FileNotFoundError: there is no such file.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.load()
    except FileNotFoundError:
        raise
    except Exception as error:  # a decoder raises what it likes, SyntaxError of a broken PNG
        raise InputError(f"{refusal}: {error}") from error
    return opened


def orientation(image: PIL.Image.Image) -> int:
    """How the EXIF data of an image that has been read turn it: 2 to 8, or 1 if they do not."""
    try:
        found: Any = image.getexif().get(_ORIENTATION)
    except Exception:  # data that cannot be read turn nothing
        return 1
    return int(found) if found in range(2, 9) else 1


def upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an image as its EXIF data turn it: as viewers, diffusers and transformers show it."""
    from PIL import ImageOps

    return image if orientation(image) == 1 else ImageOps.exif_transpose(image)


def as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an image as load_image of diffusers and transformers makes it, upright and in RGB.

    Where that would lose more than 8 bits or uncover what is transparent, it stays as it is, for
    `image_size` to refuse.
    """
    if _is_deep(image) or shows_through(image):
        return image
    return converted(upright(image), "RGB")


def shows_through(image: PIL.Image.Image) -> bool:
    """Whether a pixel of an image that has been read is transparent, at least in part."""
    # Conversions of Pillow leave a transparent colour behind that no longer means anything: other
    # modes than P have one of their own in files only.
    named = "transparency" in image.info and (image.mode == "P" or image.format is not None)
    of_palette = image.mode == "P" and image.palette is not None and "A" in image.palette.mode
    if _is_deep(image) or not (image.mode in _WITH_ALPHA or named or of_palette):
        return False
    return converted(image, "RGBA").getchannel("A").tobytes().strip(b"\xff") != b""


def converted(image: PIL.Image.Image, mode: str) -> PIL.Image.Image:
    """Return an image of at most 8 bits a channel in a mode; only RGBA keeps transparency."""
    for step in _steps(image, mode):
        image = image.convert(step)
    return image


def unreadable(image: PIL.Image.Image) -> tuple[str, str] | None:
    """Read the pixels of an image; say what it is and what to do if that fails, else None."""
    try:
        image.load()
    except Exception as error:  # a decoder raises what it likes, an assertion of a closed file
        return (
            f"a PIL.Image that cannot be read ({type(error).__name__}: {error})",
            "Open its file again and call image.load() before it is closed; replace a broken file",
        )
    return None


def ambiguous(image: PIL.Image.Image) -> tuple[str, str] | None:
    """Say what an image is and what to do if it cannot be read, or in two ways, else None."""
    if fault := unreadable(image):
        return fault
    if (turn := orientation(image)) != 1:
        # An array of a palette's indices would be another picture.
        as_stored = "; or, if it stands upright as it is stored, Image.fromarray(np.asarray(image))"
        return (
            f"a PIL.Image with EXIF orientation {turn}, which viewers turn and numpy does not",
            "Call ImageOps.exif_transpose(image) first"
            + (as_stored if image.mode in ("RGB", "RGBA", "L") else ""),
        )
    return None


def conversion(image: PIL.Image.Image, mode: str) -> str:
    """Return the expression that brings an ``image`` to a mode as one sees it.

    >>> import PIL.Image
    >>> conversion(PIL.Image.new("CMYK", (8, 8)), "RGB")
    'image.convert("RGB")'
    """
    if not _is_deep(image):
        return "image" + "".join(f'.convert("{step}")' for step in _steps(image, mode))
    to_bytes, white = ("* 255", 1) if image.mode == "F" else ("/ 257", 65535)
    grey = f"Image.fromarray((np.asarray(image) {to_bytes}).round().astype(np.uint8))"
    of_grey = {"L": grey, "RGB": f'Image.merge("RGB", [{grey}] * 3)'}
    return of_grey.get(mode, f'{grey}.convert("{mode}")') + f" (if white is {white})"


def fault_of_mode(image: PIL.Image.Image, mode: str) -> tuple[str, str] | None:
    """Say what an image is and what to do if it is of another mode, or shows through, else None."""
    transparent = shows_through(image)
    if image.mode == mode and not transparent:
        return None
    found = f"a PIL.Image in mode {image.mode}"
    if not transparent:
        return found, f"Call {conversion(image, mode)} first"
    background = 'Image.new("RGBA", image.size, "white")'
    return (
        f"{found} with transparent pixels" if image.mode == mode else found,
        f"Call {conversion(image, 'RGBA')} first, then "
        f'Image.alpha_composite({background}, image).convert("{mode}"), on the background that '
        "you want" + (', or image.getchannel("A") if that is the mask' if mode == "L" else ""),
    )


def _steps(image: PIL.Image.Image, mode: str) -> list[str]:
    """Modes on the way to another, where Pillow knows no direct one or warns of it."""
    by = {"La": "LA", "LAB": "RGB", "P": "RGBA" if "transparency" in image.info else None}
    first = by.get(image.mode)
    return [mode] if first in (None, mode) else [str(first), mode]


def _is_deep(image: PIL.Image.Image) -> bool:
    """Whether an image has more than 8 bits a channel, which Pillow would clip at 255."""
    return image.mode == "F" or image.mode.startswith("I")
