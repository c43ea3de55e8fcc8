"""Values that are kept, as a tree of JSON with files beside it; and back.

JSON holds None, bool, int, float, str as they are; all else is an object with one name of its kind:
``{"tuple": [...]}``, ``{"tensor": ...}``. Arrays and tensors go into one safetensors file, pictures
into PNG. Nothing is pickled and no class is looked up by name.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modcollapse._support.digests import public_name
from modcollapse._support.images import is_tensor
from modcollapse._support.optional import require
from modcollapse._support.pictures import is_pil
from modcollapse.table._kept_pictures import (
    as_png,
    fault_of_picture,
    from_pixels,
    from_png,
    said_of,
)

if TYPE_CHECKING:
    from torch import Tensor

TENSORS = "tensors.safetensors"
_DEEPEST = 32
"""Levels of lists in lists; what is deeper holds itself, or was made to break a reader."""
_LONGEST = 48
"""Letters of a name, before a number that tells it from others."""
_KINDS = "biufcUSmM"
"""Kinds of NumPy that are plain data: numbers, texts, bytes and times."""
_NATURAL = {
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
}  # fmt: skip
"""What a file of tensors holds under its own name; all else is there as bytes."""


class UnsavableError(Exception):
    """A value that cannot be saved; its text is the class of it, or what it is."""


def slug(text: object) -> str:
    """The beginning of a text as a part of a file name, for people: it tells nothing apart.

    >>> slug("../face 7"), slug("???")
    ('face-7', 'x')
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", str(text)[:200])[:40].strip("-") or "x"


class Encoder:
    """Makes trees of values, and gathers the files beside them.

    Attributes:
        files: name -> content.
        tensors: name -> tensor, for one file.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[str, int] = {}

    def named(self, stem: str) -> str:
        """A name that is not taken, also where capitals are not told apart."""
        stem = stem[:_LONGEST].rstrip("-")
        count = self._names[stem.lower()] = self._names.get(stem.lower(), 0) + 1
        return stem if count == 1 else f"{stem}--{count}"  # no slug holds two of them

    def tree(self, value: Any, stem: str, depth: int = 0) -> Any:
        """The tree of a value.

        Args:
            value: it.
            stem: beginning of the names of its files.
            depth: in how many others it lies.

        Raises:
            UnsavableError: it, or something in it, is of a class that is no plain data.
        """
        if depth > _DEEPEST:
            raise UnsavableError(f"lists or mappings nested more than {_DEEPEST} deep")
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:
            return value if abs(value) < 2**63 else {"int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if kind is complex:
            return {"complex": [self.tree(part, stem) for part in (value.real, value.imag)]}
        if kind is bytes:
            return {"bytes": _text(value)}
        if kind in (list, tuple):
            return {kind.__name__: self._parts(value, stem, depth + 1)}
        if kind is dict:
            return {"dict": [self._item(item, stem, depth + 1) for item in value.items()]}
        if isinstance(value, np.generic):
            return self._scalar(value)
        if isinstance(value, Path):
            return {"path": str(value)}
        if is_pil(value):
            return self._picture(value, self.named(stem))
        if kind in (np.ndarray, np.memmap):
            return self._array(value, self.named(stem))
        if is_tensor(value):
            return self._tensor(value, self.named(stem))
        raise UnsavableError(public_name(kind))

    def _parts(self, parts: Any, stem: str, depth: int) -> list[Any]:
        if parts and all(map(is_pil, parts)):  # a video
            folder = self.named(stem)
            return [self._picture(one, f"{folder}/{at:05d}") for at, one in enumerate(parts)]
        return [self.tree(part, f"{stem}-{at}", depth) for at, part in enumerate(parts)]

    def _item(self, item: tuple[Any, Any], stem: str, depth: int) -> list[Any]:
        key, value = item
        return [self.tree(key, stem, depth), self.tree(value, f"{stem}-{slug(key)}", depth)]

    def _scalar(self, value: np.generic) -> Any:
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS:
            raise UnsavableError(f"numpy {array.dtype}")
        return {"number": [array.dtype.str, _text(array.tobytes())]}

    def _picture(self, image: Any, stem: str) -> Any:
        if fault := fault_of_picture(image):
            raise UnsavableError(fault)
        said = said_of(image)
        png = as_png(image, said)
        if png is not None:
            self.files[f"{stem}.png"] = png
            return {"picture": said, "file": f"{stem}.png"}
        pixels = np.frombuffer(image.tobytes(), np.uint8)
        try:
            same = said_of(from_pixels(pixels.tobytes(), said)) == said
        except Exception:  # whatever Pillow raises of a mode that it cannot make
            same = False
        if not same:
            raise UnsavableError(f"a PIL.Image in mode {image.mode}")
        self._put(stem, pixels)
        return {"picture": said, "pixels": stem}

    def _array(self, array: NDArray[Any], stem: str) -> Any:
        if array.dtype.kind not in _KINDS:
            raise UnsavableError(f"a numpy array of {array.dtype}")
        copy = np.array(array, order="C", subok=False)
        self._put(stem, copy if _is_natural(copy.dtype) else np.frombuffer(copy.tobytes(), "u1"))
        return {"array": stem, "dtype": array.dtype.str, "shape": list(array.shape)}

    def _put(self, stem: str, array: NDArray[Any]) -> None:
        import torch

        self.tensors[stem] = torch.from_numpy(np.array(array, order="C"))

    def _tensor(self, tensor: Tensor, stem: str) -> Any:
        import torch

        if (
            tensor.layout != torch.strided
            or tensor.is_quantized
            or tensor.device.type == "meta"
            or hasattr(type(tensor), "__tensor_flatten__")  # it only wraps others
        ):
            raise UnsavableError(f"{public_name(type(tensor))} that is no plain tensor")
        plain = tensor.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg()
        plain = plain.cpu().contiguous().clone()
        dtype = str(plain.dtype).removeprefix("torch.")
        self.tensors[stem] = plain if dtype in _NATURAL else plain.reshape(-1).view(torch.uint8)
        return {"tensor": stem, "dtype": dtype, "shape": list(plain.shape)}


class Decoder:
    """Makes values of trees; of anything that no `Encoder` made it raises a ValueError or its like.

    Attributes:
        used: the files that belong to values so far.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.used: set[str] = set()
        self._files = files
        self._tensors: dict[str, Tensor] | None = None
        self._left: set[str] = set()

    def value(self, tree: Any, depth: int = 0) -> Any:
        """The value of a tree."""
        if tree is None or isinstance(tree, bool | int | float | str):
            return tree
        if depth > _DEEPEST or not isinstance(tree, dict) or not tree:
            raise ValueError(f"no value is {str(tree)[:80]}")
        kind, *rest = tree
        read = getattr(self, f"_{kind}", None) if kind in _READ else None
        if read is None or set(rest) - _READ[kind]:
            raise ValueError(f"no value is named {', '.join(map(repr, tree))}"[:200])
        if kind in ("list", "tuple", "dict"):
            return read(tree[kind], depth + 1)
        return read(**{"said": tree[kind], **{name: tree[name] for name in rest}})

    def check_all_used(self) -> None:
        """Raise ValueError where the file of tensors holds one that belongs to no value."""
        if self._left:
            raise ValueError(f"{TENSORS} holds {min(self._left)!r}, which no value has")

    def _list(self, parts: Any, depth: int) -> list[Any]:
        return [self.value(part, depth) for part in _listed(parts)]

    def _tuple(self, parts: Any, depth: int) -> tuple[Any, ...]:
        return tuple(self._list(parts, depth))

    def _dict(self, items: Any, depth: int) -> dict[Any, Any]:
        pairs = [(self.value(key, depth), self.value(one, depth)) for key, one in _listed(items)]
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a mapping has a key twice")
        return dict(pairs)

    def _int(self, said: Any) -> int:
        return int(_checked(said, str), 16)

    def _float(self, said: Any) -> float:
        if said not in ("nan", "inf", "-inf"):
            raise ValueError(f"no number is {str(said)[:80]}")
        return float(said)

    def _complex(self, said: Any) -> complex:
        real, imaginary = (self.value(part) for part in _listed(said))
        return complex(_checked(real, float), _checked(imaginary, float))

    def _bytes(self, said: Any) -> bytes:
        return base64.b64decode(_checked(said, str), validate=True)

    def _path(self, said: Any) -> Path:
        return Path(_checked(said, str))

    def _number(self, said: Any) -> Any:
        name, text = _listed(said)
        data, dtype = self._bytes(text), _plain_dtype(name)
        if len(data) != dtype.itemsize:
            raise ValueError(f"a number of {dtype} has {len(data)} bytes")
        return np.frombuffer(data, dtype)[0]

    def _picture(self, said: Any, file: Any = None, pixels: Any = None) -> Any:
        _checked(said, dict)
        if file is None:
            return from_pixels(self._stored(pixels).numpy().tobytes(), said)
        self.used.add(_checked(file, str))
        return from_png(self._files[file], said)

    def _array(self, said: Any, dtype: Any, shape: Any) -> NDArray[Any]:
        kind, form = _plain_dtype(dtype), _shape(shape)
        held = self._stored(said).numpy()
        if _is_natural(kind):
            if held.dtype != kind or held.shape != form:
                raise ValueError(f"{said!r} claims {kind} {form} and is {held.dtype} {held.shape}")
            return held.copy()
        if held.dtype != np.uint8 or held.size != kind.itemsize * math.prod(form):
            raise ValueError(f"{said!r} claims {kind} {form} and has {held.size} bytes")
        return np.frombuffer(held.tobytes(), kind).reshape(form).copy()

    def _tensor(self, said: Any, dtype: Any, shape: Any) -> Tensor:
        import torch

        kind, form = getattr(torch, _checked(dtype, str), None), _shape(shape)
        held = self._stored(said)
        if not isinstance(kind, torch.dtype):
            raise ValueError(f"there is no dtype {dtype[:80]!r}")
        if dtype not in _NATURAL:
            held = held.clone().view(kind)
            held = held.reshape(form)
        if held.dtype != kind or tuple(held.shape) != form:
            raise ValueError(f"{said!r} claims {dtype} {form}; it is {held.dtype} {held.shape}")
        return held.clone()

    def _stored(self, name: Any) -> Tensor:
        if self._tensors is None:
            safetensors = require("safetensors.torch", extra="plot", needed_by=_NEEDED)
            self._tensors = dict(safetensors.load(self._files[TENSORS]))
            self.used.add(TENSORS)
            self._left = set(self._tensors)
        self._left.discard(_checked(name, str))
        return self._tensors[name]


_READ: Mapping[str, set[str]] = {
    "list": set(),
    "tuple": set(),
    "dict": set(),
    "int": set(),
    "float": set(),
    "complex": set(),
    "bytes": set(),
    "path": set(),
    "number": set(),
    "picture": {"file", "pixels"},
    "array": {"dtype", "shape"},
    "tensor": {"dtype", "shape"},
}
"""Kind of a value -> what a tree of it says besides."""
_NEEDED = "a gallery with arrays or tensors, which are saved as safetensors,"


def packed_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """The file of tensors.

    Raises:
        MissingExtraError: safetensors is not installed.
    """
    safetensors = require("safetensors.torch", extra="plot", needed_by=_NEEDED)
    data: bytes = safetensors.save(dict(tensors))
    return data


def _is_natural(dtype: np.dtype[Any]) -> bool:
    return dtype.isnative and dtype.name in _NATURAL


def _plain_dtype(name: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(_checked(name, str))
    if dtype.kind not in _KINDS or dtype.str != name:
        raise ValueError(f"no plain data are {name[:80]!r}")
    return dtype


def _shape(shape: Any) -> tuple[int, ...]:
    if not all(type(side) is int and side >= 0 for side in _listed(shape)):
        raise ValueError(f"no shape is {str(shape)[:80]}")
    return tuple(shape)


def _listed(value: Any) -> list[Any]:
    listed: list[Any] = _checked(value, list)
    return listed


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}, got {str(value)[:80]}")
    return value


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
