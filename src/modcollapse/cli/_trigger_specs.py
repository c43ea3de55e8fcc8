"""Triggers by short texts: ``patch:corner=br,size=0.1``, ``suffix:mignneko``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modcollapse._support.validation import did_you_mean, listed
from modcollapse.errors import InputError, context

if TYPE_CHECKING:
    from modcollapse.contracts import Trigger

_CORNERS = {"tl": "top left", "tr": "top right", "bl": "bottom left", "br": "bottom right"}
_YES_NO = {"true": True, "yes": True, "false": False, "no": False}

Read = Callable[[str, Path | None], Any]


def _number(text: str, _: Path | None) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"a number is expected, got {text!r}") from None


def _whole(text: str, _: Path | None) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"a whole number is expected, got {text!r}") from None


def _text(text: str, _: Path | None) -> str:
    return text


def _yes(text: str, _: Path | None) -> bool:
    if text.lower() not in _YES_NO:
        raise InputError(f"yes or no is expected, got {text!r}")
    return _YES_NO[text.lower()]


def _file(text: str, base: Path | None) -> Path:
    path = file_named(text, base)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    return path


def _color(text: str, _: Path | None) -> Any:
    named = {"white": 1.0, "grey": 0.5, "gray": 0.5, "black": 0.0}
    if text in named:
        return named[text]
    parts = [_number(part, None) for part in text.split("/")]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _corner(text: str, _: Path | None) -> str:
    if text not in _CORNERS:
        raise InputError(f"a corner is one of {listed(_CORNERS)}, got {text!r}")
    return _CORNERS[text]


def _place(text: str, _: Path | None) -> Any:
    from modcollapse.triggers import RandomPlace

    if text.startswith("random"):
        return RandomPlace(_whole(text.removeprefix("random").lstrip("/") or "0", None))
    return tuple(_number(part, None) for part in text.split("/")) if "/" in text else text


_PLACES: dict[str, tuple[str, Read]] = {"corner": ("place", _corner), "place": ("place", _place)}


class _Kind(NamedTuple):
    """A kind of trigger.

    Attributes:
        makes: name of what makes it, in ``modcollapse.triggers``.
        first: what stands behind the colon: its parameter and how it is read; None where nothing.
        keys: key -> parameter and how it is read.
        needs: parameters that cannot be left out.
    """

    makes: str
    first: tuple[str, Read] | None
    keys: Mapping[str, tuple[str, Read]]
    needs: tuple[str, ...] = ()


def _same(**reads: Read) -> dict[str, tuple[str, Read]]:
    return {key: (key, read) for key, read in reads.items()}


_separator = _same(separator=_text)
_KINDS = {
    "patch": _Kind("ImagePatch", None, _same(size=_number, gap=_number, color=_color) | _PLACES),
    "stop-sign": _Kind("stop_sign", None, _same(size=_number, opacity=_number) | _PLACES),
    "glasses": _Kind("eyeglasses", None, _same(width=_number, opacity=_number) | _PLACES),
    "picture": _Kind(
        "ImageOverlay",
        ("picture", _file),
        _same(width=_number, gap=_number, opacity=_number, relative_to=_text) | _PLACES,
        ("width", "place"),
    ),
    "watermark": _Kind(
        "watermark",
        ("mark", _text),
        _same(size=_number, gap=_number, opacity=_number, tiled=_yes) | _PLACES,
    ),
    "blend": _Kind("ImageBlend", ("picture", _file), _same(opacity=_number)),
    "wave": _Kind("ImageWave", None, _same(amplitude=_number, periods=_number, vertical=_yes)),
    "warp": _Kind("ImageWarp", None, _same(seed=_whole, strength=_number, cells=_whole), ("seed",)),
    "mask": _Kind("MaskPatch", None, _same(size=_number, gap=_number, value=_number) | _PLACES),
    "suffix": _Kind("TextSuffix", ("phrase", _text), _separator),
    "prefix": _Kind("TextPrefix", ("phrase", _text), _separator),
    "insert": _Kind(
        "TextInsert",
        ("phrase", _text),
        _separator | _same(before=_text, after=_text, at=_place),
    ),
    "replace": _Kind("TextReplace", ("phrase", _text), _same(word=_text, every=_yes), ("word",)),
    "homoglyph": _Kind("TextHomoglyph", None, _same(letter=_text, glyph=_text, every=_yes)),
    "published": _Kind("published_trigger", ("name", _text), {}),
}
_YAML_KEYS: Mapping[str, Read] = {"method": _text, "reading": _text, "entry": _whole}

TRIGGER_HELP = """\
A trigger is KIND, KIND:FIRST or KIND:FIRST,KEY=VALUE,...

\b
  patch          size= corner=br|bl|tr|tl or place= gap= color=white|grey|r/g/b
  stop-sign      size= corner= or place= opacity=
  glasses        width= corner= or place= opacity=
  picture:FILE   width= corner= or place= gap= opacity=
  watermark:TEXT size= corner= or place= gap= opacity= tiled=yes
  blend:FILE     opacity=
  wave           amplitude= periods= vertical=yes
  warp           seed= strength= cells=
  mask           size= corner= or place= gap= value=
  suffix:PHRASE  prefix:PHRASE       separator=
  insert:PHRASE  before=WORD or after=WORD or at=random/SEED
  replace:PHRASE word=WORD every=yes
  homoglyph      letter= glyph= every=yes
  published:NAME a trigger of a paper, as "published:grey box"
  yaml:FILE      method= reading= entry=0   of the YAML of a public backdoor

Sizes and gaps are parts of the image's shorter side; a place is "center", x/y in parts of width
and height, or random/SEED."""


def file_named(text: str, base: Path | None) -> Path:
    """A path as it is meant: from the folder of the configuration that names it, or from here."""
    path = Path(text).expanduser()
    return path if base is None else base / path


def trigger_of(spec: str, modality: str, base: Path | None = None) -> Trigger:
    """Make a trigger of its short text.

    Args:
        spec: ``KIND``, ``KIND:FIRST`` or ``KIND:FIRST,KEY=VALUE,...``. A comma that no ``KEY=``
            follows belongs to what stands before it.
        modality: what it is put on, for the configuration of a backdoor, which has several.
        base: folder that files are named from; None for the working directory.

    Raises:
        InputError: an unknown kind or key, a value of another kind, no such file; and what the
            trigger itself raises.

    >>> trigger_of("suffix:latte, coffee", "text")
    TextSuffix(phrase='latte, coffee', separator=' ')
    >>> trigger_of("patch:corner=tl,size=0.25", "image").place
    'top left'
    """
    kind, colon, rest = spec.partition(":")
    with context(lambda: f"in the trigger of {modality!r}, {spec!r}"):
        if kind == "yaml":
            return _declared(rest, modality, base)
        if kind not in _KINDS:
            known = (*_KINDS, "yaml")
            raise InputError(
                f"there is no kind of trigger {kind!r} (see modcollapse audit --help); there are "
                f"{listed(known)}{did_you_mean(kind, known)}"
            )
        return _made(kind, rest if colon else "", base)


def _made(kind: str, rest: str, base: Path | None) -> Trigger:
    from modcollapse import triggers

    makes, first, keys, needs = _KINDS[kind]
    head, given = _split(rest, keys, has_first=first is not None)
    values = {}
    if first is not None:
        if not head:
            raise InputError(f"{kind} needs its {first[0]}: {kind}:{first[0].upper()}")
        values[first[0]] = first[1](head, base)
    for key, text in given.items():
        name, read = keys[key]
        if name in values:
            raise InputError(f"{name} is given twice")
        with context(f"of {key}={text}"):
            values[name] = read(text, base)
    missing = [name for name in needs if name not in values]
    if missing:
        raise InputError(f"{kind} needs {', '.join(f'{name}=' for name in missing)}")
    made: Trigger = getattr(triggers, makes)(**values)
    return made


def _split(rest: str, keys: Mapping[str, Any], *, has_first: bool) -> tuple[str, dict[str, str]]:
    """What stands behind the colon: the first value, and key -> value."""
    parts = re.split(r",(?=\w+=)", rest)
    head = "" if not has_first and rest else parts[0]
    given: dict[str, str] = {}
    for part in parts[1:] if has_first else filter(None, parts):
        key, equals, value = part.partition("=")
        if not equals or key not in keys:
            raise InputError(
                f"{part!r} is no KEY=VALUE of it; keys are {listed(keys)}{did_you_mean(key, keys)}"
            )
        if key in given:
            raise InputError(f"{key} is given twice")
        given[key] = value
    return head, given


def _declared(rest: str, modality: str, base: Path | None) -> Trigger:
    """The trigger of a modality in the configuration of a public backdoor."""
    from modcollapse.known import read_backdoors

    file, given = _split(rest, _YAML_KEYS, has_first=True)
    read: dict[str, Any] = {key: _YAML_KEYS[key](text, base) for key, text in given.items()}
    found = read_backdoors(_file(file, base), read.get("method"))
    entry = read.get("entry", 0)
    if not 0 <= entry < len(found):
        raise InputError(f"it has the entries 0 to {len(found) - 1}, got entry={entry}")
    declared = found[entry].read_as(read.get("reading"))
    if modality not in declared:
        raise InputError(f"it has triggers of {listed(declared)}, and none of {modality!r}")
    trigger: Trigger = declared[modality]
    return trigger
