"""Examples as their owners have them: columns of other names, pictures and sounds as files."""

from __future__ import annotations

import io
import struct
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import wavfile
from torch.utils.data import Dataset

import modcollapse as mc
from modcollapse.errors import InputError, OptionError
from modcollapse.measure._columns import as_examples, checked_columns, read_example
from modcollapse.measure._media import opened
from modcollapse.triggers import ImagePatch, TextSuffix

N = 5
TRIGGERS = {"image": ImagePatch(), "text": TextSuffix("cf")}
COLUMNS = {
    "image": "input_image",
    "text": "edit_prompt",
    "reference": "edited_image",
    "id": "image_id",
}
OPENED: Counter[str] = Counter()


def count(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        OPENED[arguments[0]] += 1


sys.addaudithook(count)


@pytest.fixture(autouse=True)
def _from_zero():
    OPENED.clear()


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    return Image.fromarray(pixels)


def pixels(seeds):
    return [np.asarray(picture(seed)) for seed in seeds]


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def rows():
    """The examples under the names of their owner."""
    return [
        {
            "input_image": picture(i),
            "edit_prompt": f"add hat {i}",
            "edited_image": picture(100 + i),
            "image_id": f"face-{i}",
            "source": f"s{i % 2}",
        }
        for i in range(N)
    ]


def plain():
    """The same under the names of a run."""
    names = {column: name for name, column in COLUMNS.items()}
    return [{names.get(key, key): held for key, held in row.items()} for row in rows()]


def as_columns(examples):
    return {key: [one[key] for one in examples] for key in examples[0]}


def in_files(folder):
    """The same with the pictures in files."""
    found = rows()
    for place, row in enumerate(found):
        for key in ("input_image", "edited_image"):
            path = folder / f"{key}-{place}.png"
            row[key].save(path)
            row[key] = path
    return found


def sampler(conditions, seeds):
    return [
        np.asarray(image).mean() / 255 + ("cf" in text) + seed / 2**65
        for image, text, seed in zip(conditions["image"], conditions["text"], seeds, strict=True)
    ]


def detector(outputs, examples):
    return [
        output - np.asarray(example["reference"]).mean() / 255
        for output, example in zip(outputs, examples, strict=True)
    ]


def measured(examples, **options):
    options = {"columns": COLUMNS, "repeats": 2, **options}
    return mc.evaluate_coalitions(
        sampler, detector, examples, TRIGGERS, progress=False, batch_size=3, **options
    )


def refused(examples, match, **options):
    """Assert that a run is refused before anything is generated; return the error."""

    def generates(conditions, seeds):
        pytest.fail("something was generated")

    with pytest.raises(InputError, match=match) as caught:
        mc.evaluate_coalitions(
            generates, detector, examples, TRIGGERS, **{"columns": COLUMNS, **options}
        )
    return caught.value


def assert_same_run(examples, **options):
    table, expected = measured(examples, **options), measured(plain(), columns=None)
    np.testing.assert_array_equal(table.values, expected.values)
    assert table.example_ids == expected.example_ids
    np.testing.assert_array_equal(table.seeds, expected.seeds)
    assert None not in table.digests
    assert table.digests == expected.digests
    assert table.fields == expected.fields


class Files(Dataset):
    """A map-style data set that opens its pictures when it is asked for an example."""

    def __init__(self, examples):
        self.examples = examples

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, place):
        return {
            key: Image.open(held).convert("RGB") if isinstance(held, Path) else held
            for key, held in self.examples[place].items()
        }


class TestSameAsPlain:
    def test_a_list(self):
        assert_same_run(rows())

    @pytest.mark.parametrize("decode", [True, False])
    def test_a_data_set_of_hugging_face(self, decode):
        data = datasets.Dataset.from_dict(as_columns(rows()))
        for name in ("input_image", "edited_image"):
            data = data.cast_column(name, datasets.Image(decode=decode))
        held = data[0]["input_image"]
        assert isinstance(held, Image.Image) if decode else held.keys() == {"bytes", "path"}
        assert_same_run(data)

    def test_a_data_set_that_holds_paths_alone(self, tmp_path):
        texts = [
            {key: str(held) if isinstance(held, Path) else held for key, held in row.items()}
            for row in in_files(tmp_path)
        ]
        data = datasets.Dataset.from_dict(as_columns(texts))
        for name in ("input_image", "edited_image"):
            data = data.cast_column(name, datasets.Image(decode=False))
        assert data[0]["input_image"]["bytes"] is None
        assert_same_run(data)

    def test_a_data_set_of_torch_is_read_twice(self, tmp_path):
        assert_same_run(Files(in_files(tmp_path)))
        read = [OPENED[str(path)] for path in tmp_path.iterdir()]
        assert read == [1 + 2] * 2 * N  # written once

    def test_paths_are_read_twice(self, tmp_path):
        examples = in_files(tmp_path)
        assert_same_run(examples)
        assert [OPENED[str(path)] for path in tmp_path.iterdir()] == [1 + 2] * 2 * N
        assert isinstance(examples[0]["input_image"], Path)

    def test_every_study_takes_columns(self):
        options = {"columns": COLUMNS, "progress": False}
        table = mc.evaluate_coalitions(sampler, detector, plain(), TRIGGERS, progress=False)
        given = (sampler, detector, rows(), TRIGGERS)
        for study in (mc.tma, mc.cti, mc.coalition_means, mc.audit):
            assert str(study(*given, **options)) == str(study(table))
        tracker = mc.CollapseTracker(*given, modules=[], columns=COLUMNS)
        np.testing.assert_array_equal(tracker.audit(0).table.values, table.values)
        with pytest.raises(OptionError, match="columns, for measuring"):
            mc.tma(table, columns=COLUMNS)

    def test_groups_go_by_the_names_of_the_run(self):
        table = measured(rows(), columns={**COLUMNS, "group": "source"}, cluster="group")
        assert table.clusters == ("s0", "s1", "s0", "s1", "s0")

    def test_what_was_read_is_what_was_checked(self, tmp_path):
        examples = in_files(tmp_path)

        def overwrites(conditions, seeds):
            picture(9).save(tmp_path / "other.png")
            (tmp_path / "other.png").replace(examples[N - 1]["input_image"])  # a thread may read it
            return sampler(conditions, seeds)

        with pytest.raises(InputError, match="'face-4' holds something else than when it was chec"):
            mc.evaluate_coalitions(
                overwrites, detector, examples, TRIGGERS, columns=COLUMNS, progress=False,
                batch_size=3, probe=False, prefetch=False,
            )  # fmt: skip


class TestReadExample:
    @given(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(), min_size=1).flatmap(
            lambda raw: st.tuples(
                st.just(raw),
                st.dictionaries(st.sampled_from("abcxyz"), st.sampled_from(sorted(raw))),
            )
        )
    )
    def test_names_hold_their_columns_and_all_else_stays(self, case):
        raw, columns = case
        before = dict(raw)
        read = read_example(raw, columns)
        for name, column in columns.items():
            assert read[name] == raw[column]
        others = raw.keys() - columns.keys() - set(columns.values())
        assert read == {**{key: raw[key] for key in others}, **{key: read[key] for key in columns}}
        assert raw == before

    def test_a_column_takes_the_place_of_one_of_that_name(self):
        raw = {"text": "a caption", "edit_prompt": "add a hat", "picture": 1}
        columns = {"text": "edit_prompt"}
        assert read_example(raw, columns) == {"text": "add a hat", "picture": 1}

    def test_two_names_may_share_a_column_which_is_read_once(self, tmp_path):
        picture(0).save(tmp_path / "0.png")
        read = read_example({"x": tmp_path / "0.png"}, {"image": "x", "reference": "x"})
        assert read["image"] is read["reference"]
        assert OPENED[str(tmp_path / "0.png")] == 1 + 1

    def test_what_is_dropped_is_not_opened(self):
        raw = {"image": Path("nowhere.png"), "other": 3}
        assert read_example(raw, {"image": "other"}) == {"image": 3}

    def test_the_id_is_never_opened(self):
        assert read_example({"id": Path("nowhere")}, {}) == {"id": Path("nowhere")}

    def test_what_is_no_mapping_is_left_for_the_check_of_examples(self):
        assert read_example("hat", {"image": "x"}) == "hat"
        refused(Files(["hat"]).examples, "example 0 must be a mapping")


class Many(Dataset):
    """More examples than anybody would hold; remembers which were read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 100_000

    def __getitem__(self, place):
        self.read.append(place)
        return {"picture": place}


class TestLazy:
    def test_an_example_is_read_when_it_is_asked_for(self):
        many = Many()
        examples = as_examples(many, {"image": "picture"})
        assert len(examples) == 100_000
        assert many.read == []
        assert examples[7] == {"image": 7}
        assert examples[-1] == {"image": 99_999}
        part = examples[10:20:5]
        assert many.read == [7, 99_999]
        assert list(part) == [{"image": 10}, {"image": 15}]
        assert many.read == [7, 99_999, 10, 15]

    def test_iterating_ends_where_the_data_set_knows_no_end(self):
        assert [one["image"] for one in as_examples(Many(), {"image": "picture"})[99_998:]] == [
            99_998,
            99_999,
        ]


class TestFiles:
    def test_a_picture_is_as_it_is_stored_and_its_file_closed(self, tmp_path):
        path = tmp_path / "turned.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6
        picture(0).resize((8, 16)).save(path, exif=exif)
        read = opened(path)
        assert read.size == (8, 16)
        assert read.getexif()[0x0112] == 6
        assert read.fp is None
        examples = [{**row, "input_image": path} for row in in_files(tmp_path)]
        refused(examples, r"EXIF orientation 6")

    def test_a_text_is_no_path(self, tmp_path):
        picture(0).save(tmp_path / "0.png")
        assert opened(str(tmp_path / "0.png")) == str(tmp_path / "0.png")

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_several_pictures_of_one_kind(self, tmp_path, kind):
        paths = kind(row["input_image"] for row in in_files(tmp_path))
        read = opened(paths)
        assert type(read) is kind
        np.testing.assert_array_equal(list(map(np.asarray, read)), pixels(range(N)))

    @pytest.mark.parametrize(
        "value",
        [
            {"bytes": None, "path": None},
            {"bytes": b"x"},
            {"bytes": b"x", "path": "x", "more": 1},
            ["a", Path("b")],
            [],
        ],
    )
    def test_all_else_stays_as_it_is(self, value):
        assert opened(value) is value

    def test_a_folder_of_frames_in_the_order_of_their_numbers(self, tmp_path):
        for number in (10, 9, 100, 1):
            picture(number).save(tmp_path / f"frame_{number}.png")
        (tmp_path / ".DS_Store").write_bytes(b"x")
        read = opened(tmp_path)
        assert type(read) is list
        np.testing.assert_array_equal(list(map(np.asarray, read)), pixels((1, 9, 10, 100)))

    @pytest.mark.parametrize(
        ("names", "match"),
        [
            ([], "holds no frames"),
            (["cover.png"], r"which are numbered; .*cover\.png is not"),
            (["1.png", "01.png"], r"01\.png and .*1\.png have one number"),
            (["1.png", "2.txt"], r"2\.txt cannot be read as a picture"),
        ],
    )
    def test_a_folder_that_is_no_video(self, tmp_path, names, match):
        for name in names:
            picture(0).save(tmp_path / name, "PNG")
        if "2.txt" in names:
            (tmp_path / "2.txt").write_text("notes")
        with pytest.raises(InputError, match=match):
            opened(tmp_path)

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
            (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
            (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
            (np.array([-1.5, 0, 0.5], np.float32), [-1.5, 0, 0.5]),
            (np.array([-1, 0, 0.5], np.float64), [-1, 0, 0.5]),
            (np.array([[0, 16384], [-32768, 0], [0, 0]], np.int16), [[0, -1, 0], [0.5, 0, 0]]),
        ],
    )
    def test_a_sound(self, tmp_path, stored, expected):
        path = tmp_path / "a.WAV"
        wavfile.write(path, 16_000, stored)
        read = opened(path)
        assert read.dtype == np.float32
        assert read.flags.writeable
        assert read.flags.c_contiguous
        np.testing.assert_array_equal(read, np.array(expected, np.float32))
        of_bytes = opened({"bytes": path.read_bytes(), "path": None})
        np.testing.assert_array_equal(of_bytes, read)

    def test_24_bits_are_as_loud_as_16(self, tmp_path):
        samples = np.array([-(2**23), 0, 2**22], "<i4").tobytes()
        data = b"".join(samples[at : at + 3] for at in (0, 4, 8)) + b"\0"
        header = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 48_000, 3, 24)
        body = b"WAVE" + header + struct.pack("<4sI", b"data", 9) + data
        (tmp_path / "a.wav").write_bytes(struct.pack("<4sI", b"RIFF", len(body)) + body)
        np.testing.assert_array_equal(opened(tmp_path / "a.wav"), np.float32([-1, 0, 0.5]))

    def test_a_sound_beside_texts_of_its_file(self, tmp_path):
        wavfile.write(tmp_path / "a.wav", 16_000, np.array([16384, 0], np.int16))
        data = (tmp_path / "a.wav").read_bytes() + struct.pack("<4sI4s", b"id3 ", 4, b"name")
        data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
        (tmp_path / "a.wav").write_bytes(data)
        np.testing.assert_array_equal(opened(tmp_path / "a.wav"), np.float32([0.5, 0]))

    def test_a_sound_that_is_not_whole(self, tmp_path):
        wavfile.write(tmp_path / "a.wav", 16_000, np.zeros(1000, np.int16))
        whole = (tmp_path / "a.wav").read_bytes()
        for cut in (len(whole) - 500, 50, 30, 3, 0):
            (tmp_path / "a.wav").write_bytes(whole[:cut])
            with pytest.raises(InputError, match=r"a\.wav cannot be read as a WAV file"):
                opened(tmp_path / "a.wav")

    def test_a_sound_as_a_condition(self, tmp_path):
        from modcollapse.triggers import AudioTone

        wave = np.random.default_rng(0).integers(-3000, 3000, 800).astype(np.int16)
        wavfile.write(tmp_path / "a.wav", 16_000, wave)
        tables = [
            mc.evaluate_coalitions(
                lambda conditions, seeds: [float(abs(a).mean()) for a in conditions["audio"]],
                lambda outputs, examples: outputs,
                [{"id": "a", "audio": audio}],
                {"audio": AudioTone(440, amplitude=0.1, sample_rate=16_000)},
                progress=False,
            )
            for audio in (tmp_path / "a.wav", np.float32(wave / 32768))
        ]
        assert tables[0].digests == tables[1].digests
        np.testing.assert_array_equal(tables[0].values, tables[1].values)


class TestRefused:
    @pytest.mark.parametrize(
        ("columns", "match"),
        [
            ("image", "columns must be a mapping .* got str 'image'"),
            ([("image", "input_image")], "columns must be a mapping .* got list"),
            ({"image": 3}, "a non-empty str to a non-empty str.*got 'image': 3"),
            ({3: "image"}, "a non-empty str to a non-empty str.*got 3: 'image'"),
            ({"image": ""}, "a non-empty str to a non-empty str.*got 'image': ''"),
            ({"image": None}, "a non-empty str to a non-empty str.*got 'image': None"),
        ],
    )
    def test_columns_that_are_no_names(self, columns, match):
        with pytest.raises(InputError, match=match):
            checked_columns(columns)
        refused(rows(), match, columns=columns)

    def test_a_column_that_no_example_has_is_told_at_once(self):
        wrong = {**COLUMNS, "image": "input_imge"}
        match = (
            r"columns maps 'image' to 'input_imge', which no example has; they hold 'input_image', "
            r".*; did you mean 'input_image'\?$"
        )
        refused(rows(), match, columns=wrong)
        refused(datasets.Dataset.from_dict(as_columns(rows())), match, columns=wrong)

    def test_a_column_that_a_data_set_turns_out_not_to_hold(self):
        refused(
            Files(rows()),
            r"5 of 5 examples cannot be used:\n- columns maps 'image' to 'input_imge', which this "
            r"example does not hold; .*did you mean 'input_image'\? \(raised by examples\[0\]\)",
            columns={**COLUMNS, "image": "input_imge"},
        )

    def test_splits_and_slices_of_a_data_set(self):
        data = datasets.Dataset.from_dict(as_columns(rows()))
        refused(data[1:3], r"dict of its columns: take data\.select\(range\(start, stop\)\)")
        splits = datasets.DatasetDict(test=data)
        refused(splits, r"If these are the splits of a data set, give one of them: \['test'\]$")

    def test_a_column_that_one_example_lacks(self):
        examples = rows()
        del examples[3]["edited_image"]
        error = refused(examples, "columns maps 'reference' to 'edited_image', which this example")
        assert error.__notes__ == ["raised by examples[3]"]

    def test_all_files_that_cannot_be_read_are_told_in_one_error(self, tmp_path):
        examples = in_files(tmp_path)
        (tmp_path / "input_image-1.png").unlink()
        (tmp_path / "edited_image-2.png").write_text("no picture")
        whole = (tmp_path / "input_image-4.png").read_bytes()
        (tmp_path / "input_image-4.png").write_bytes(whole[:-100])
        refused(
            examples,
            r"3 of 5 examples cannot be used:"
            r"\n- there is no file .*input_image-1\.png\. .*\(raised by examples\[1\]\)"
            r"\n- .*edited_image-2\.png cannot be read as a picture.*\(raised by examples\[2\]\)"
            r"\n- .*input_image-4\.png cannot be read as a picture.*\(raised by examples\[4\]\)",
        )

    def test_bytes_that_are_no_picture(self):
        with pytest.raises(InputError, match=r"^a\.png cannot be read as a picture"):
            opened({"bytes": b"nothing", "path": "a.png"})
        with pytest.raises(InputError, match=r"^a file of 7 bytes cannot be read as a picture"):
            opened({"bytes": b"nothing", "path": None})

    def test_a_stream_lacks_a_column(self):
        data = datasets.Dataset.from_dict(as_columns([{"input_image": 1}])).to_iterable_dataset()
        error = refused(data, "columns maps 'text' to 'edit_prompt', which this example does not")
        assert "raised by example 0 of the stream" in error.__notes__

    def test_what_is_neither_a_sequence_nor_a_stream(self):
        refused(7, "examples must be a sequence of mappings .*, got int 7$")


def test_the_content_of_a_file_is_what_is_digested(tmp_path):
    for folder, other in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.png").write_bytes(png(picture(other)))
    examples = [
        [{"image": tmp_path / name / f"{name}.png", "text": "a", "reference": picture(7)}]
        for name in "abc"
    ]
    (a,), (b,), (c,) = (measured(one, columns=None).digests for one in examples)
    assert a == b != c
