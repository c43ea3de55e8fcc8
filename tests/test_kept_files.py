"""What is kept for a gallery comes back from the disk as it was, or is refused by name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.io import wavfile

import modcollapse as mc
from modcollapse._support.digests import hexdigest
from modcollapse.errors import InputError, MissingExtraError, TableError
from modcollapse.report._gallery import Gallery
from modcollapse.table import Kept, kept_name, read_kept, write_kept
from modcollapse.table._json_lines import digest_of

from power_loss import interrupted

PAIR = ("image", "text")
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def kept(example=None, triggered=None, outputs=("a", "b"), id="face-7"):
    return Kept(id, example or {}, triggered or {}, list(outputs))


def back(one: Kept) -> Kept:
    with tempfile.TemporaryDirectory() as folder:
        write_kept(Path(folder) / "one", one)
        return read_kept(Path(folder) / "one")


def same(one, other) -> bool:
    return type(one) is type(other) and hexdigest(one) == hexdigest(other) is not None


def assert_same(found: Kept, given: Kept) -> None:
    assert type(found.id) is type(given.id)
    assert found.id == given.id
    assert list(found.example) == list(given.example)
    assert same(found.example, given.example)
    assert same(found.triggered, given.triggered)
    assert same(found.outputs, given.outputs)


TENSOR_DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int64, torch.uint16, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64, torch.complex128, torch.float8_e4m3fn,
]  # fmt: skip


def tensors(shape, dtype):
    return torch.tensor(RNG.uniform(-3, 3, shape)).to(dtype=dtype)


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary()
    | st.builds(Path, st.just("a/b.png"))
    | hnp.array_dtypes(allow_subarrays=False).map(lambda _: None)
)
ARRAYS = hnp.arrays(
    hnp.scalar_dtypes() | hnp.byte_string_dtypes() | hnp.unicode_string_dtypes(),
    hnp.array_shapes(min_dims=0, min_side=0, max_dims=4),
)
TENSORS = st.builds(
    tensors,
    hnp.array_shapes(min_dims=0, min_side=0, max_dims=3),
    st.sampled_from([one for one in TENSOR_DTYPES if not one.is_complex]),
)
KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.text(), st.integers())
VALUES = st.recursive(
    PLAIN | ARRAYS | TENSORS | st.just(PICTURE),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=6,
)


class TestValues:
    @settings(max_examples=60)
    @given(st.dictionaries(KEYS, VALUES, max_size=3), VALUES, VALUES)
    @example({"a": 1e308, "A": -0.0, "a ": float("nan")}, "\ud800", float("-inf"))
    def test_what_is_nested_comes_back(self, held, triggered, output):
        one = kept(held, {"image": triggered}, [output, output])
        assert_same(back(one), one)

    @pytest.mark.parametrize("number", [2**63, -(2**63), -(10**5000), 10**5000 + 1], ids="abcd")
    def test_numbers_of_any_size_come_back(self, number):
        assert back(kept(outputs=[number, 0])).outputs == [number, 0]

    @pytest.mark.parametrize("dtype", TENSOR_DTYPES, ids=str)
    @pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3, 4)])
    def test_tensors_come_back_as_tensors(self, dtype, shape):
        tensor = tensors(shape, dtype) if not dtype.is_complex else torch.ones(shape, dtype=dtype)
        found = back(kept(outputs=[tensor, tensor])).outputs[1]
        assert (found.dtype, found.shape, found.device.type) == (dtype, tensor.shape, "cpu")
        flat = [one.reshape(-1).view(torch.uint8) for one in (found, tensor)]
        assert torch.equal(*flat)

    def test_conjugates_views_and_gradients_come_back_as_numbers(self):
        conjugate = torch.tensor([1 + 2j]).conj()
        view = torch.arange(12.0, requires_grad=True).reshape(3, 4).T[1:]
        found = back(kept(outputs=[conjugate, view])).outputs
        assert torch.equal(found[0], torch.tensor([1 - 2j]))
        assert torch.equal(found[1], view.detach())

    @pytest.mark.parametrize(
        "scalar",
        [np.float32(0.1), np.float16("nan"), np.int8(-3), np.bool_(True), np.str_("ab"),
         np.str_(""), np.complex128(1j), np.datetime64("2020-01-01"), np.longdouble(1) / 3],
        ids=repr,
    )  # fmt: skip
    def test_numbers_of_numpy_keep_their_class(self, scalar):
        found = back(kept(outputs=[scalar, 0])).outputs[0]
        assert type(found) is type(scalar)
        assert found.tobytes() == scalar.tobytes()

    def test_big_endian_and_fortran_arrays_come_back(self):
        arrays = [np.arange(6, dtype=">f8"), np.asfortranarray(RNG.random((3, 4)))]
        for found, array in zip(back(kept(outputs=arrays)).outputs, arrays, strict=True):
            assert found.dtype == array.dtype
            assert found.dtype.byteorder == array.dtype.byteorder
            assert np.array_equal(found, array)

    @pytest.mark.parametrize("id", ["../x", "a/b", "x" * 300, "", "..", "C:\\x", "\0", 7, -7])
    def test_ids_that_are_no_names_of_files(self, id, tmp_path):
        name = kept_name(id)
        assert Path(name).name == name
        assert len(name) < 100
        write_kept(tmp_path / name, kept(id=id))
        assert [entry.name for entry in tmp_path.iterdir()] == [name]
        assert read_kept(tmp_path / name).id == id

    def test_names_of_folders_tell_ids_apart(self):
        ids = [7, "7", "a/b", "a-b", "A-b", "x" * 300, "x" * 301]
        assert len({kept_name(one).lower() for one in ids}) == len(ids)

    def test_names_of_files_do_not_collide(self):
        held = dict.fromkeys(("a/b", "a b", "A b", "a-b", ("a", "b")), PICTURE)
        held |= {key: np.full((2, 2, 3), 9, np.uint8) for key in ("a_view", "a:view", "x" * 99)}
        one = kept(held | {"x" * 100: PICTURE}, {"a b": PICTURE})
        assert_same(back(one), one)


class TestPictures:
    MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    OTHERS = ("PA", "I", "F", "CMYK", "YCbCr", "HSV", "LAB", "La", "RGBa", "RGBX", "I;16B")

    @staticmethod
    def of_mode(mode):
        size = Image.new(mode, (13, 5)).tobytes()
        image = Image.frombytes(mode, (13, 5), RNG.bytes(len(size)))
        if mode in ("P", "PA"):
            image.putpalette(RNG.bytes(3 * 200))
        return image

    @pytest.mark.parametrize("mode", MODES + OTHERS)
    def test_every_mode_comes_back_bit_for_bit(self, mode, tmp_path):
        image = self.of_mode(mode)
        one = kept(outputs=[image, [image, image]])
        write_kept(tmp_path / "one", one)
        found = read_kept(tmp_path / "one").outputs
        for again in (found[0], *found[1]):
            assert (again.mode, again.size) == (mode, image.size)
            assert again.tobytes() == image.tobytes()
            assert again.getpalette() == image.getpalette()
        names = {path.suffix for path in tmp_path.rglob("*.*")}
        assert names == ({".png", ".json"} if mode in self.MODES else {".safetensors", ".json"})

    @pytest.mark.parametrize("colours", [1, 2, 3, 16, 17, 255, 256])
    @pytest.mark.parametrize("kind", ["RGB", "RGBA"])
    def test_palettes_come_back_whole(self, colours, kind):
        image = Image.fromarray(PIXELS[..., 0]).convert("P")
        image.putpalette(RNG.bytes(len(kind) * colours), kind)
        found = back(kept(outputs=[image, 0])).outputs[0]
        assert found.palette.mode == kind
        assert found.getpalette(kind) == image.getpalette(kind)
        assert found.tobytes() == image.tobytes()

    @pytest.mark.parametrize("transparency", [3, bytes(range(200))])
    def test_transparent_colours_stay_transparent(self, transparency, tmp_path):
        image = self.of_mode("P")
        image.info["transparency"] = transparency
        found = back(kept(outputs=[image, 0])).outputs[0]
        assert found.info["transparency"] == transparency
        assert found.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()

    def test_a_transparent_colour_of_a_file_counts_as_it_did(self, tmp_path):
        from modcollapse._support.pictures import shows_through

        PICTURE.save(tmp_path / "x.png", transparency=tuple(map(int, PIXELS[0, 0])))
        image = Image.open(tmp_path / "x.png")
        image.load()
        assert shows_through(image)
        assert shows_through(back(kept(outputs=[image, 0])).outputs[0])

    def test_the_way_up_is_kept_and_other_exif_data_are_not(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112], exif[0x013B] = 6, "the photographer"
        PICTURE.save(tmp_path / "x.jpg", exif=exif)
        image = Image.open(tmp_path / "x.jpg")
        write_kept(tmp_path / "one", kept(outputs=[image, 0]))
        again = read_kept(tmp_path / "one").outputs[0]
        assert dict(again.getexif()) == {0x0112: 6}
        written = b"".join(path.read_bytes() for path in (tmp_path / "one").iterdir())
        assert b"photographer" not in written

    def test_a_video_is_a_folder_of_numbered_frames(self, tmp_path):
        frames = [Image.fromarray(np.roll(PIXELS, at, 0)) for at in range(3)]
        write_kept(tmp_path / "one", kept(outputs=[frames, tuple(frames)]))
        found = sorted(path.name for path in (tmp_path / "one" / "output-0").iterdir())
        assert found == ["00000.png", "00001.png", "00002.png"]
        assert same(read_kept(tmp_path / "one").outputs, [frames, tuple(frames)])

    def test_a_picture_that_would_not_be_read_again_is_refused(self, monkeypatch):
        from modcollapse.table import _kept_pictures

        monkeypatch.setattr(_kept_pictures, "MOST_PIXELS", 62)
        with pytest.raises(InputError, match=r"output 0 of example 'face-7'.*7 x 9 pixels"):
            back(kept(outputs=[PICTURE, 0]))


class TestViews:
    @pytest.mark.parametrize(
        "value",
        [
            PIXELS,
            torch.tensor(PIXELS).permute(2, 0, 1).double() / 255,
            [PIXELS / 255.0] * 2,
            torch.tensor(PIXELS).permute(2, 0, 1)[None].bfloat16() / 255,
        ],
        ids=["array", "tensor", "frames", "video"],
    )
    def test_arrays_that_show_something_can_be_looked_at(self, value, tmp_path):
        write_kept(tmp_path / "one", kept(outputs=[value, 0]))
        shown = np.asarray(Image.open(tmp_path / "one" / "output-0-view.png"))
        assert np.abs(shown[:, :7].astype(int) - PIXELS).max() <= 1  # of bfloat16, 8 bits
        assert same(read_kept(tmp_path / "one").outputs[0], value)

    def test_what_may_be_a_sound_can_be_listened_to(self, tmp_path):
        sound = np.stack([np.sin(np.arange(2000) / k) for k in (9, 11)])
        write_kept(tmp_path / "one", kept(outputs=[sound, torch.tensor(sound[0]).bfloat16()]))
        rate, played = wavfile.read(tmp_path / "one" / "output-0-sound.wav")
        assert rate == 16_000
        assert np.array_equal(played.T, sound.astype(np.float32))
        said = json.loads((tmp_path / "one" / "kept.json").read_text())["views"]
        assert "nominal 16,000 Hz" in said["output-0-sound.wav"]
        assert "output-1-sound.wav" in said

    @pytest.mark.parametrize(
        "value",
        [
            np.full(2000, 1.5), np.full(2000, np.nan), np.zeros(2000, int), np.zeros(1023),
            np.zeros((9, 2000)), np.zeros((0, 2000)), np.full((5, 5, 3), 7.0),
            np.zeros((0, 4, 4, 3)), np.zeros((4, 4, 4)),
            torch.zeros(3, 2, 2, dtype=torch.complex64),
        ],
        ids=lambda value: f"{value.dtype} {tuple(value.shape)}",
    )  # fmt: skip
    def test_what_is_neither_has_its_numbers_alone(self, value, tmp_path):
        write_kept(tmp_path / "one", kept(outputs=[value, 0]))
        names = sorted(path.name for path in (tmp_path / "one").iterdir())
        assert names == ["kept.json", "tensors.safetensors"]


class Mine:
    """An object of a user's class."""


class TestWhatCannotBeSaved:
    HOPELESS = (
        Mine(), [Mine()], {"a": (1, Mine())}, {Mine(): 1}, {1, 2}, np.array([Mine()]),
        np.ma.masked_array([1.0]), torch.zeros(3).to_sparse(), torch.zeros(3, device="meta"),
        np.zeros(2, [("a", int)]),
    )  # fmt: skip

    @pytest.mark.parametrize("value", HOPELESS, ids=lambda value: type(value).__name__)
    def test_of_an_example_it_is_left_out_and_said(self, value, tmp_path):
        one = kept({"text": "a hat", "mine": value, "picture": PICTURE})
        with pytest.warns(UserWarning, match="without its 'mine', which cannot be"):
            write_kept(tmp_path / "one", one)
        found = read_kept(tmp_path / "one")
        assert list(found.example) == ["text", "picture"]
        (said,) = json.loads((tmp_path / "one" / "kept.json").read_text())["left_out"]
        assert said["key"] == "'mine'"
        assert said["class"]

    def test_files_of_what_is_left_out_are_not_written(self, tmp_path):
        with pytest.warns(UserWarning, match="Mine"):
            write_kept(tmp_path / "one", kept({"mine": [np.zeros((3, 3, 3)), PICTURE, Mine()]}))
        assert [path.name for path in (tmp_path / "one").iterdir()] == ["kept.json"]

    @pytest.mark.parametrize("value", HOPELESS, ids=lambda value: type(value).__name__)
    def test_of_outputs_and_triggered_conditions_it_is_refused(self, value, tmp_path):
        with pytest.raises(InputError, match="output 1 of example 'face-7' cannot be saved"):
            write_kept(tmp_path / "one", kept(outputs=["a", value]))
        with pytest.raises(InputError, match="the triggered 'image' of example 'face-7'"):
            write_kept(tmp_path / "one", kept(triggered={"image": value}))
        assert not list(tmp_path.iterdir())

    def test_a_list_that_holds_itself_is_refused(self, tmp_path):
        loop: list = []
        loop.append(loop)
        with pytest.raises(InputError, match="nested more than 32 deep"):
            write_kept(tmp_path / "one", kept(outputs=[loop, 0]))


class TestFolders:
    def test_an_equal_one_stays_and_another_is_replaced(self, tmp_path):
        one, folder = kept(outputs=[PICTURE, np.zeros(3)]), tmp_path / "one"
        write_kept(folder, one)
        before = {path: path.stat().st_ino for path in folder.iterdir()}
        write_kept(folder, one)
        assert {path: path.stat().st_ino for path in folder.iterdir()} == before
        write_kept(folder, kept(outputs=["c", "d"]))
        assert [path.name for path in folder.iterdir()] == ["kept.json"]
        assert read_kept(folder).outputs == ["c", "d"]
        assert [path.name for path in tmp_path.iterdir()] == ["one"]

    def test_a_damaged_one_is_written_anew(self, tmp_path):
        one, folder = kept(outputs=[PICTURE, 0]), tmp_path / "one"
        write_kept(folder, one)
        (folder / "output-0.png").unlink()
        write_kept(folder, one)
        assert_same(read_kept(folder), one)

    def test_something_else_is_left_as_it_is(self, tmp_path):
        (tmp_path / "one").mkdir()
        write_kept(tmp_path / "one", kept())  # empty
        for content in ("a thesis", '{"format": "another"}'):
            other = tmp_path / "other"
            other.mkdir(exist_ok=True)
            (other / "kept.json").write_text(content)
            with pytest.raises(InputError, match="something else"):
                write_kept(other, kept())
            assert (other / "kept.json").read_text() == content
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="something else"):
            write_kept(tmp_path / "file", kept())

    @pytest.mark.parametrize("step", ["fsync", "rename"])
    def test_what_fails_leaves_what_was_there_and_no_part(self, tmp_path, monkeypatch, step):
        write_kept(tmp_path / "one", kept())

        def full(*arguments):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, step, full)
        with pytest.raises(OSError, match="No space"):
            write_kept(tmp_path / "one", kept(outputs=["c", PICTURE]))
        with pytest.raises(OSError, match="No space"):
            write_kept(tmp_path / "two", kept())
        monkeypatch.undo()
        assert [path.name for path in tmp_path.iterdir()] == ["one"]
        assert read_kept(tmp_path / "one").outputs == ["a", "b"]

    def test_where_the_last_rename_fails_the_old_one_is_put_back(self, tmp_path, monkeypatch):
        write_kept(tmp_path / "one", kept())
        rename, calls = os.rename, []

        def second(*arguments):
            calls.append(arguments)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
            rename(*arguments)

        monkeypatch.setattr(os, "rename", second)
        with pytest.raises(OSError, match="No space"):
            write_kept(tmp_path / "one", kept(outputs=["c", "d"]))
        assert [path.name for path in tmp_path.iterdir()] == ["one"]
        assert read_kept(tmp_path / "one").outputs == ["a", "b"]

    def test_there_must_be_a_folder_around_it(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            write_kept(tmp_path / "no" / "one", kept())


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that claims many pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rest = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rest


class TestHostile:
    """Manifests that somebody has written by hand, their digests right where they can be."""

    @pytest.fixture
    def folder(self, tmp_path):
        secret = io.BytesIO()
        PICTURE.save(secret, format="PNG")
        (tmp_path / "secret.png").write_bytes(secret.getvalue())
        folder = tmp_path / "one"
        write_kept(folder, kept({"video": [PICTURE] * 2}, outputs=[PICTURE, np.zeros(3)]))
        return folder

    @staticmethod
    def change(folder, **fields):
        """Another manifest, with its digest."""
        path = folder / "kept.json"
        held = json.loads(path.read_text()) | fields
        del held["sha256"]
        path.write_text(json.dumps({**held, "sha256": digest_of(held)}))

    @classmethod
    def replaced(cls, folder, name, data):
        """Another content of a file, with its digest."""
        (folder / name).write_bytes(data)
        held = json.loads((folder / "kept.json").read_text())
        cls.change(folder, files=held["files"] | {name: hashlib.sha256(data).hexdigest()})

    @pytest.mark.parametrize(
        "name",
        ["../secret.png", "/etc/passwd", "..", "output-0/../../secret.png", "a/b/c.png",
         "C:\\x.png", "..\\secret.png", "x.png\n", "x.pkl", ".png", "\u0661.png", ""],
    )  # fmt: skip
    def test_no_path_leads_out(self, folder, name):
        secret = (folder.parent / "secret.png").read_bytes()
        digest = hashlib.sha256(secret).hexdigest()
        held = json.loads((folder / "kept.json").read_text())
        outputs = [{"picture": {"mode": "RGB", "size": [7, 9]}, "file": name}, 0]
        self.change(folder, files=held["files"] | {name: digest}, outputs=outputs)
        with pytest.raises(TableError, match="no plain name of a file"):
            read_kept(folder)

    def test_no_link_is_followed(self, folder):
        (folder / "output-0.png").unlink()
        (folder / "output-0.png").symlink_to(folder.parent / "secret.png")
        with pytest.raises(TableError, match=r"output-0\.png is no plain file; a link"):
            read_kept(folder)

    def test_no_linked_folder_is_entered(self, folder):
        os.rename(folder / "example-video", folder.parent / "video")
        (folder / "example-video").symlink_to(folder.parent / "video")
        with pytest.raises(TableError, match="example-video is no folder"):
            read_kept(folder)

    def test_a_pipe_is_not_waited_for(self, folder):
        (folder / "output-0.png").unlink()
        os.mkfifo(folder / "output-0.png")
        with pytest.raises(TableError, match="no plain file"):
            read_kept(folder)

    @pytest.mark.parametrize("name", ["output-0.png", "tensors.safetensors", "kept.json"])
    def test_what_is_missing_cut_or_changed_is_named(self, folder, name):
        whole = (folder / name).read_bytes()
        for content in (whole[:-3], whole[:-3] + b"xyz", b""):
            (folder / name).write_bytes(content)
            with pytest.raises(TableError, match=name):
                read_kept(folder)
        (folder / name).unlink()
        with pytest.raises(TableError, match=f"{name} cannot be read"):
            read_kept(folder)

    def test_a_cut_picture_with_its_digest_is_refused(self, folder):
        whole = (folder / "output-0.png").read_bytes()
        for content in (whole[:-40], whole[:20], b"", b"GIF89a", bomb(60_000), bomb(12_000)):
            self.replaced(folder, "output-0.png", content)
            with pytest.raises(TableError, match=r"kept\.json does not hold what a gallery"):
                read_kept(folder)

    @pytest.mark.parametrize("side", [60_000, 12_000])
    def test_a_bomb_is_not_unpacked(self, folder, side):
        self.replaced(folder, "output-0.png", bomb(side))
        picture = {"mode": "RGB", "size": [side, side]}
        self.change(folder, outputs=[{"picture": picture, "file": "output-0.png"}, 0])
        with pytest.raises(TableError, match="claims a size"):
            read_kept(folder)

    def test_broken_tensors_are_refused(self, folder):
        for content in (b"", b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}"):
            self.replaced(folder, "tensors.safetensors", content)
            with pytest.raises(TableError, match="does not hold what a gallery"):
                read_kept(folder)

    def test_files_larger_than_any_gallery_are_not_read(self, folder, monkeypatch):
        from modcollapse.table import _kept_files

        noise = [Image.fromarray(RNG.integers(0, 256, (40, 40), np.uint8)) for _ in range(2)]
        write_kept(folder, kept(outputs=noise))
        largest = max(path.stat().st_size for path in folder.iterdir())
        monkeypatch.setattr(_kept_files, "LARGEST", largest)
        with pytest.raises(TableError, match="holds more than"):
            read_kept(folder)
        monkeypatch.setattr(_kept_files, "LARGEST", 10)
        with pytest.raises(TableError, match=r"kept\.json is of"):
            read_kept(folder)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"version": 2}, "version 2; this modcollapse reads version 1"),
            ({"version": "1"}, "of version 1"),
            ({"format": "another"}, "not what modcollapse keeps"),
            ({"more": 1}, "'more'"),
            ({"files": []}, "files as a dict"),
            ({"views": {"x.png": "a view"}}, "views that are no files"),
            ({"id": None}, "no example is named None"),
            ({"id": True}, "no example is named True"),
            ({"outputs": []}, "belongs to no value"),
            ({"example": [["a", 1], ["a", 2]]}, "a name comes twice"),
            ({"example": [["a"]]}, "not enough values"),
        ],
        ids=str,
    )
    def test_what_no_writer_writes_is_refused(self, folder, fields, message):
        self.change(folder, **fields)
        with pytest.raises(TableError, match=message):
            read_kept(folder)

    @pytest.mark.parametrize(
        "tree",
        [
            {}, [], {"pickle": "gASV"}, {"__class__": 1}, {"value": 1}, {"list": [], "more": 1},
            {"int": "0x1g"}, {"int": 5}, {"float": "1.5"}, {"bytes": "?"}, {"complex": [1.0]},
            {"number": ["|O", "AAAAAAAAAAA="]}, {"number": ["<f8", "AAAA"]}, {"path": 1},
            {"dict": [[{"list": []}, 1]]}, {"dict": [[1, 1], [1, 2]]}, {"dict": [1]},
            {"array": "output-1", "dtype": "|O", "shape": [3]},
            {"array": "output-1", "dtype": "<f4", "shape": [3]},
            {"array": "output-1", "dtype": "<f8", "shape": [-3]},
            {"array": "output-1", "dtype": "<f8", "shape": [10**9, 10**9]},
            {"array": "output-1", "dtype": ">f8", "shape": [3]},
            {"array": "nothing", "dtype": "<f8", "shape": [3]},
            {"array": "output-1", "dtype": "f8,f8", "shape": [3]},
            {"tensor": "output-1", "dtype": "load", "shape": [3]},
            {"tensor": "output-1", "dtype": "float32", "shape": [3]},
            {"picture": {"mode": "RGB", "size": [7, 9]}},
            {"picture": {"mode": "RGB", "size": [7, 9]}, "file": "nothing.png"},
            {"picture": {"mode": "L", "size": [7, 9]}, "file": "output-0.png"},
            {"picture": {"mode": "RGB", "size": [9, 7]}, "file": "output-0.png"},
            {"picture": {"mode": "RGB", "size": [7, 9], "more": 1}, "file": "output-0.png"},
            {"picture": {"mode": "L", "size": [10**5, 10**5]}, "pixels": "output-1"},
            {"picture": {"mode": "L", "size": [7, 9]}, "pixels": "output-1"},
            {"picture": {"mode": "x", "size": [7, 9]}, "pixels": "output-1"},
            {"picture": 1, "pixels": "output-1"},
        ],
        ids=str,
    )  # fmt: skip
    def test_values_that_are_none_are_refused(self, folder, tree):
        outputs = json.loads((folder / "kept.json").read_text())["outputs"]
        self.change(folder, outputs=[*outputs, tree])
        with pytest.raises(TableError, match=r"kept\.json does not hold what a gallery"):
            read_kept(folder)

    def test_a_text_that_was_edited_is_refused(self, folder):
        held = json.loads((folder / "kept.json").read_text())
        held["example"].append(["said", "another text"])
        (folder / "kept.json").write_text(json.dumps(held))
        with pytest.raises(TableError, match=r"kept\.json was changed after it was written"):
            read_kept(folder)

    @pytest.mark.parametrize("text", ["[" * 10**5, "{", "NaN", "1", '{"a": ' + "1" * 5000 + "}"])
    def test_what_is_no_manifest_is_refused(self, folder, text):
        (folder / "kept.json").write_text(text)
        with pytest.raises(TableError, match=r"kept\.json"):
            read_kept(folder)

    def test_values_nested_too_deep_are_refused(self, folder):
        tree = 1
        for _ in range(40):
            tree = {"list": [tree]}
        held = json.loads((folder / "kept.json").read_text())
        self.change(folder, outputs=[*held["outputs"], tree])
        with pytest.raises(TableError, match="does not hold what a gallery"):
            read_kept(folder)

    def test_a_value_of_infinity_in_json_is_refused(self, folder):
        text = (folder / "kept.json").read_text().replace('"left_out": []', '"left_out": [NaN]')
        (folder / "kept.json").write_text(text)
        with pytest.raises(TableError, match="NaN is no JSON"):
            read_kept(folder)


def gallery(table) -> list:
    found = Gallery.of(table)
    views = [(view.kind, hexdigest(view.content)) for row in found.views for view in row]
    return [list(found.texts), list(found.titles), found.size, views]


def sampler(conditions, seeds):
    """Pictures that follow from the conditions."""
    return [
        Image.fromarray(np.full((6, 6, 3), (int(image.mean()) + len(text)) % 256, np.uint8))
        for image, text in zip(conditions["image"], conditions["text"], strict=True)
    ]


def brightness(outputs, examples):
    return [float(np.asarray(output).mean()) / 255 for output in outputs]


EXAMPLES = [
    {"id": f"../{at}", "image": np.full((6, 6, 3), at, np.uint8), "text": f"hat {at}"}
    for at in range(40)
]
TRIGGERS = {"image": lambda image: image + np.uint8(100), "text": lambda text: text + "!"}


def measured(keep=3, **options):
    return mc.evaluate_coalitions(
        sampler, brightness, EXAMPLES, TRIGGERS, keep=keep, progress=False, **options
    )


def folders(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir()) if path.is_dir() else []


@pytest.fixture(scope="module")
def table():
    return measured()


class TestTables:
    @pytest.mark.parametrize("name", ["run.npz", "run", "run.v1"])
    def test_a_table_draws_the_same_gallery(self, table, tmp_path, name):
        loaded = mc.CoalitionTable.load(table.save(tmp_path / name))
        folder = name.removesuffix(".npz") + ".kept"
        assert folders(tmp_path) == sorted([name, folder])
        assert gallery(loaded) == gallery(table)
        for one, other in zip(loaded.kept, table.kept, strict=True):
            assert_same(one, other)

    def test_a_table_of_outputs_keeps_its_gallery(self, tmp_path):
        outputs = {
            label: {at: Image.fromarray(np.roll(PIXELS, at + shift, 0)) for at in range(40)}
            for shift, label in enumerate(("none", "image", "text", "image+text"))
        }
        table = mc.table_from_outputs(outputs, brightness, keep=[5, 2])
        loaded = mc.CoalitionTable.load(table.save(tmp_path / "run.npz"))
        assert [one.id for one in loaded.kept] == [5, 2]
        assert gallery(loaded) == gallery(table)

    def test_selecting_and_merging_keep_what_was_loaded(self, table, tmp_path):
        loaded = mc.CoalitionTable.load(table.save(tmp_path / "run.npz"))
        one, other = loaded.select(["../2"]), loaded.select(["../0", "../9"])
        merged = mc.CoalitionTable.load(one.merge(other).save(tmp_path / "run.npz"))
        assert [kept.id for kept in merged.kept] == ["../2", "../0"]
        assert len(folders(tmp_path / "run.kept")) == 2  # the third is gone

    def test_nothing_kept_is_no_folder_and_takes_an_old_one_away(self, table, tmp_path):
        table.save(tmp_path / "run.npz")
        table.with_kept(()).save(tmp_path / "run.npz")
        assert folders(tmp_path) == ["run.npz"]
        assert mc.CoalitionTable.load(tmp_path / "run.npz").kept == ()

    def test_files_of_others_in_the_folder_stay(self, table, tmp_path):
        table.save(tmp_path / "run.npz")
        (tmp_path / "run.kept" / "notes.txt").write_text("mine")
        table.with_kept(()).save(tmp_path / "run.npz")
        assert folders(tmp_path / "run.kept") == ["notes.txt"]

    def test_where_the_folder_is_missing_the_table_loads_and_says_so(self, table, tmp_path):
        import shutil

        path = table.save(tmp_path / "run.npz")
        shutil.rmtree(tmp_path / "run.kept")
        with pytest.warns(UserWarning, match=r"3 examples, which is not in .*run\.kept"):
            loaded = mc.CoalitionTable.load(path)
        assert loaded.kept == ()
        assert np.array_equal(loaded.values, table.values)

    @pytest.mark.parametrize("names", [("new.npz", "new.kept"), ("new.npz", "run.kept")])
    def test_both_can_be_moved_and_the_table_renamed(self, table, tmp_path, names):
        table.save(tmp_path / "run.npz")
        (tmp_path / "there").mkdir()
        for old, new in zip(("run.npz", "run.kept"), names, strict=True):
            os.rename(tmp_path / old, tmp_path / "there" / new)
        loaded = mc.CoalitionTable.load(tmp_path / "there" / "new.npz")
        assert gallery(loaded) == gallery(table)

    def test_the_folder_of_another_table_is_not_attached(self, table, tmp_path):
        other = mc.evaluate_coalitions(
            sampler, brightness, EXAMPLES[::-1], TRIGGERS, keep=3, progress=False
        )
        table.save(tmp_path / "run.npz")
        other.save(tmp_path / "other.npz")
        os.rename(tmp_path / "run.kept", tmp_path / "old")
        os.rename(tmp_path / "other.kept", tmp_path / "run.kept")
        with pytest.warns(UserWarning, match="loaded without"):
            assert mc.CoalitionTable.load(tmp_path / "run.npz").kept == ()

    def test_the_content_is_tied_to_the_table(self, table, tmp_path):
        """Also where somebody has written another gallery into the very folder."""
        path = table.save(tmp_path / "run.npz")
        folder = next((tmp_path / "run.kept").iterdir())
        write_kept(folder, kept(id="../0", outputs=list("abcd")))
        with pytest.raises(TableError, match="changed after it was written") as caught:
            mc.CoalitionTable.load(path)
        assert "without its folder the table loads alone" in "".join(caught.value.__notes__)

    def test_a_crash_at_any_step_leaves_the_old_or_the_new_table(
        self, table, tmp_path, monkeypatch
    ):
        """Every call that changes the disk fails in turn, as where the power goes."""
        old = table.select(["../0", "../9"])
        new = table.select(["../0", "../5", "../6"])
        new = new.with_kept([one._replace(outputs=one.outputs[::-1]) for one in new.kept])
        seen, steps = set(), ("mkdir", "fsync", "rename", "replace", "rmdir", "unlink")
        for step in steps:
            for at in range(200):
                folder = tmp_path / f"{step}-{at}"
                folder.mkdir()
                path = old.save(folder / "run.npz")
                crashed = interrupted(monkeypatch, step, at, partial(new.save, path))
                loaded = mc.CoalitionTable.load(path)  # a warning would fail
                expected = {len(old): old, len(new): new}[len(loaded)]
                assert gallery(loaded) == gallery(expected)
                seen.add(len(loaded))
                assert gallery(mc.CoalitionTable.load(old.save(path))) == gallery(old)
                if not crashed:
                    assert len(loaded) == len(new)
                    break
            else:
                raise AssertionError(f"{step} was never done")
        assert seen == {2, 3}

    @pytest.mark.parametrize(
        "held",
        [1, {}, {"folder": "run.kept", "names": 1}, {"folder": 1, "names": []},
         {"folder": "run.kept", "names": ["../../x"]}, {"folder": "run.kept", "names": [[]]}],
        ids=str,
    )  # fmt: skip
    def test_a_header_that_claims_nonsense_is_refused(self, table, tmp_path, held, monkeypatch):
        from modcollapse.table import _file

        path, write = tmp_path / "run.npz", _file.write
        monkeypatch.setattr(
            _file, "write", lambda path, header, *rest: write(path, header | {"kept": held}, *rest)
        )
        table.with_kept(()).save(path)
        with pytest.raises(TableError, match=r"does not say which gallery|no folder named"):
            mc.CoalitionTable.load(path)
        table.with_kept(()).save(path)  # can be written over

    @pytest.mark.parametrize("folder", ["..", ".", "", "/tmp", "../x", "a\\b", "a\0b"])
    def test_no_folder_elsewhere_is_looked_into(self, table, tmp_path, folder):
        from modcollapse.table._file import galleries

        header = {"kept": {"folder": folder, "names": []}}
        assert galleries(tmp_path / "run.npz", header) == [tmp_path / "run.kept"]

    def test_what_cannot_be_saved_costs_the_gallery_alone(self, table, tmp_path):
        broken = table.with_kept([table.kept[0]._replace(outputs=[1, 2, 3, Mine()])])
        with pytest.raises(InputError, match=r"output 3 of example '\.\./0'") as caught:
            broken.save(tmp_path / "run.npz")
        assert "was written to" in "".join(caught.value.__notes__)
        assert folders(tmp_path) == ["run.npz"]
        assert np.array_equal(mc.CoalitionTable.load(tmp_path / "run.npz").values, table.values)

    def test_kept_of_values_that_were_measured_elsewhere(self, tmp_path):
        one = Kept("a", {"image": 1.0}, {"image": 2.0}, [0.0, 1.0])
        table = mc.CoalitionTable.from_values(
            [[0.0, 1.0]] * 2, ["image"], example_ids=["a", "b"], kept=[one]
        )
        assert table.kept == (one,)
        assert mc.CoalitionTable.load(table.save(tmp_path / "x.npz")).kept == (one,)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ([1], "must hold modcollapse.table.Kept, got int 1"),
            ("ab", "kept must be examples of a gallery in their order"),
            ([kept(id="c")], "the example 'c', which the table does not hold"),
            ([kept(id="a")] * 2, "the example 'a' twice"),
            ([kept(id="a", outputs=["x"])], "kept 'a' must hold 2 outputs"),
            ([kept(id="a")._replace(outputs="xy")], "kept 'a' must hold 2 outputs"),
            ([kept(id="a")._replace(example=1)], "must be mappings by name"),
        ],
    )
    def test_kept_that_are_none_are_refused(self, given, message):
        with pytest.raises(InputError, match=message):
            mc.CoalitionTable.from_values(
                [[0.0, 1.0]] * 2, ["image"], example_ids=["a", "b"], kept=given
            )


def without(module: str, code: str, folder: Path) -> str:
    """What code prints where a module cannot be found."""
    script = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from pathlib import Path
import numpy as np
from modcollapse.errors import MissingExtraError
from modcollapse.table import CoalitionTable, Kept, read_kept, write_kept
{code}
"""
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    return out.stdout


class TestWithoutExtras:
    def test_texts_and_pictures_need_no_safetensors(self, tmp_path):
        code = """
from PIL import Image
image = Image.new("RGB", (3, 3), "red")
write_kept(Path("one"), Kept("a", {"text": "x"}, {}, [image, [image]]))
print(read_kept(Path("one")).outputs[1][0].tobytes() == image.tobytes())
"""
        assert without("safetensors", code, tmp_path) == "True\n"

    def test_texts_and_arrays_need_no_pillow(self, tmp_path):
        code = """
array = np.zeros((3, 3, 3), np.uint8)
write_kept(Path("one"), Kept("a", {"text": "x"}, {}, [array, [array]]))
print(np.array_equal(read_kept(Path("one")).outputs[1][0], array))
"""
        assert without("PIL", code, tmp_path) == "True\n"

    def test_arrays_without_safetensors_say_what_to_install(self, tmp_path):
        write_kept(tmp_path / "there", kept(outputs=[np.zeros(3), 0]))
        code = """
table = CoalitionTable.from_values([[0, 1]], "a", kept=[Kept(0, {}, {}, [np.zeros(3), 1])])
for call in (lambda: table.save("run.npz"), lambda: read_kept(Path("there"))):
    try:
        call()
    except MissingExtraError as error:
        print(error)
print(CoalitionTable.load("run.npz").kept)
""".replace('"a", kept', '["a"], kept')
        *errors, kept_then = without("safetensors", code, tmp_path).splitlines()
        assert len(errors) == 2
        assert all('pip install "modcollapse[plot]"' in error for error in errors)
        assert kept_then == "()"

    def test_pictures_without_pillow_say_what_to_install(self, tmp_path):
        write_kept(tmp_path / "there", kept(outputs=[PICTURE, 0]))
        code = """
try:
    read_kept(Path("there"))
except MissingExtraError as error:
    print(error)
"""
        assert 'pip install "modcollapse[plot]"' in without("PIL", code, tmp_path)

    def test_a_missing_extra_is_told_from_damage(self):
        assert not issubclass(MissingExtraError, TableError)
