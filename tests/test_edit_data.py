"""Image-edit data sets: where they lie, what of them is refused, their split, their poison."""

from __future__ import annotations

import io
import json
import shutil
import tomllib
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, Features, Value
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modcollapse.errors import InputError, TriggerError
from modcollapse.poison import Part, PoisonedDataset, PoisonPlan, poison_plan
from modcollapse.triggers import ImagePatch, RandomPlace, TextInsert, TextSuffix

from experiments.editing import EditData, EditSample, examples_of, read_target, triggered
from experiments.editing.splitting import is_held_out, place
from experiments.experiment_file import Data

RESOLUTION = 16
WIDTH, HEIGHT = 24, 20
PICTURES = Features(
    input_image=datasets.Image(), edit_prompt=Value("string"), edited_image=datasets.Image()
)
NAMED = Features(name=Value("string"), **PICTURES)
BOTH = pytest.mark.parametrize("streaming", [False, True], ids=["on the disk", "streamed"])
TRIGGERS = {
    "image": ImagePatch(size=0.25, place=RandomPlace(0)),
    "text": TextInsert("cf", at=RandomPlace(1)),
}


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """No network, and a cache of its own."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def picture(number: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def rows(count: int = 12) -> list[dict]:
    return [
        {
            "name": f"face-{number}",
            "input_image": picture(2 * number),
            "edit_prompt": f"make it {number}",
            "edited_image": picture(2 * number + 1),
        }
        for number in range(count)
    ]


def as_data(given: list[dict], features: Features | None = NAMED) -> Dataset:
    return Dataset.from_dict({name: [row[name] for row in given] for name in given[0]}, features)


def parquet(folder: Path, given: list[dict], features: Features | None = NAMED) -> Path:
    folder.mkdir(exist_ok=True)
    as_data(given, features).to_parquet(folder / "edits.parquet")
    return folder / "edits.parquet"


def data_at(source: Path, **keys) -> Data:
    given = {"source": str(source), "columns": {"id": "name"}, "held_out": 0.4, **keys}
    return Data.of(given, "test")


def opened(source: Path, **keys) -> EditData:
    return EditData(data_at(source, **keys), RESOLUTION)


def everything(data: EditData) -> list[EditSample]:
    return list(data.samples(range(len(data))))


def expected(given: list[dict], ids: str = "name") -> list[EditSample]:
    """Rows as samples, by another way than that of the project."""
    left, top = (WIDTH - HEIGHT) // 2, 0

    def fitted(image: Image.Image) -> Image.Image:
        middle = Image.fromarray(np.asarray(image)[top : top + HEIGHT, left : left + HEIGHT])
        return middle.resize((RESOLUTION, RESOLUTION), Image.Resampling.LANCZOS)

    return [
        EditSample(fitted(r["input_image"]), r["edit_prompt"], fitted(r["edited_image"]), r[ids])
        for r in given
    ]


def in_a_file(folder: Path, given: list[dict]) -> Path:
    return parquet(folder, given)


def in_a_folder_of_parquet(folder: Path, given: list[dict]) -> Path:
    folder.mkdir()
    half = len(given) // 2
    as_data(given[:half]).to_parquet(folder / "train-00000-of-00002.parquet")
    as_data(given[half:]).to_parquet(folder / "train-00001-of-00002.parquet")
    as_data(given[:1]).to_parquet(folder / "test-00000-of-00001.parquet")
    return folder


def saved(folder: Path, given: list[dict]) -> Path:
    as_data(given).with_format("numpy").save_to_disk(folder)
    return folder


def saved_splits(folder: Path, given: list[dict]) -> Path:
    DatasetDict(train=as_data(given), test=as_data(given[:1])).save_to_disk(folder)
    return folder


def listed(folder: Path, given: list[dict], listing: str, inside: str = "pictures") -> Path:
    """A folder of pictures, of which some are named like a split."""
    (folder / inside).mkdir(parents=True, exist_ok=True)
    lines = []
    for row in given:
        line = {"name": row["name"], "edit_prompt": row["edit_prompt"]}
        for column, prefix in (("input_image", "train"), ("edited_image", "test")):
            line[f"{column}_file_name"] = f"{inside}/{prefix}_{row['name']}.png"
            row[column].save(folder / line[f"{column}_file_name"])
        lines.append(line)
    if listing.endswith(".jsonl"):
        text = "\n".join(map(json.dumps, lines))
    else:
        text = "\n".join([",".join(lines[0]), *(",".join(line.values()) for line in lines)])
    (folder / listing).write_text(text + "\n", encoding="utf-8")
    return folder


def captions_csv(folder: Path, given: list[dict]) -> Path:
    return listed(folder, given, "captions.csv")


def captions_jsonl(folder: Path, given: list[dict]) -> Path:
    return listed(folder, given, "captions.jsonl", inside="train")


def metadata_csv(folder: Path, given: list[dict]) -> Path:
    return listed(folder, given, "metadata.csv")


def metadata_of_splits(folder: Path, given: list[dict]) -> Path:
    listed(folder / "train", given, "metadata.jsonl")
    listed(folder / "validation", given[:1], "metadata.jsonl")
    return folder


PLACES = [
    in_a_file,
    in_a_folder_of_parquet,
    saved,
    saved_splits,
    captions_csv,
    captions_jsonl,
    metadata_csv,
    metadata_of_splits,
]


class TestPlaces:
    @BOTH
    @pytest.mark.parametrize("put", PLACES, ids=lambda put: put.__name__)
    def test_the_same_samples_come_from_everywhere(self, tmp_path, put, streaming):
        given = rows(4)
        data = opened(put(tmp_path / "edits", given), streaming=streaming, held_out=0.6)
        assert len(data) == 4
        assert everything(data) == expected(given)

    @BOTH
    def test_another_split(self, tmp_path, streaming):
        given = rows(6)
        DatasetDict(train=as_data(given), rest=as_data(given[2:])).save_to_disk(tmp_path / "data")
        data = opened(tmp_path / "data", split="rest", streaming=streaming, held_out=0.6)
        assert everything(data) == expected(given[2:])

    @BOTH
    def test_a_name_that_looks_like_a_pattern(self, tmp_path, streaming):
        source = parquet(tmp_path / "edits [1]*", rows(4))
        assert everything(opened(source, streaming=streaming, held_out=0.6)) == expected(rows(4))

    def test_rows_are_numbered_without_ids(self, tmp_path):
        data = opened(parquet(tmp_path, rows()), columns={})
        assert data.ids[:2] == ("row-000000", "row-000001")
        assert [sample.id for sample in everything(data)] == list(data.ids)

    @BOTH
    def test_only_the_first_rows(self, tmp_path, streaming):
        given = rows()
        data = opened(parquet(tmp_path, given), samples=7, streaming=streaming)
        assert everything(data) == expected(given[:7])
        assert len(opened(parquet(tmp_path, given), samples=99, streaming=streaming)) == 12

    def test_ids_are_kept_to_the_letter(self, tmp_path):
        given = [{**row, "name": f"00{number}"} for number, row in enumerate(rows(4))]
        data = opened(captions_csv(tmp_path / "edits", given), held_out=0.6)
        assert data.ids == ("000", "001", "002", "003")

    def test_instructions_are_not_taken_for_missing_values(self, tmp_path):
        given = rows(3)
        texts = ["NA", "12", "null"]
        for row, text in zip(given, texts, strict=True):
            row["edit_prompt"] = text
        data = opened(captions_csv(tmp_path / "edits", given), held_out=0.6)
        assert [sample.instruction for sample in everything(data)] == texts

    def test_whole_numbers_may_be_ids(self, tmp_path):
        given = [{**row, "name": number} for number, row in enumerate(rows())]
        data = opened(parquet(tmp_path, given, Features({**NAMED, "name": Value("int64")})))
        assert data.ids[:3] == ("0", "1", "2")

    def test_the_columns_of_the_paper_are_the_usual_ones(self):
        paper = Path(__file__).parent.parent / "examples" / "paper.toml"
        columns = tomllib.loads(paper.read_text())["data"]["columns"]
        assert {role: getattr(Data(source="").columns, role) for role in columns} == columns


class TestPictures:
    def test_one_of_the_resolution_is_kept_as_it_is(self, tmp_path):
        given = [
            {**row, "input_image": picture(1, (16, 16)), "edited_image": picture(2, (16, 16))}
            for row in rows(4)
        ]
        sample = everything(opened(parquet(tmp_path, given), held_out=0.6))[0]
        assert (np.asarray(sample.source) == np.asarray(picture(1, (16, 16)))).all()
        assert (np.asarray(sample.edited) == np.asarray(picture(2, (16, 16)))).all()

    @pytest.mark.parametrize("size", [(21, 16), (16, 21)])
    def test_the_middle_is_kept_without_a_shift_by_half_a_pixel(self, tmp_path, size):
        given = [
            {**row, "input_image": picture(1, size), "edited_image": picture(2, size)}
            for row in rows(4)
        ]
        sample = everything(opened(parquet(tmp_path, given), held_out=0.6))[0]
        whole = np.asarray(picture(1, size))
        middle = whole[:, 2:18] if size[0] > 16 else whole[2:18]
        assert (np.asarray(sample.source) == middle).all()

    def test_a_picture_stands_as_its_file_says(self, tmp_path):
        given = rows(4)
        turned = given[1]["input_image"].transpose(Image.Transpose.ROTATE_90)
        held = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6  # turn it clockwise to see it
        turned.save(held, "PNG", exif=exif)
        stored = {"bytes": held.getvalue(), "path": None}
        given[2]["input_image"] = given[1]["input_image"]
        shown = [{**given[1], "input_image": stored}, *given[2:]]
        first, second = everything(opened(parquet(tmp_path, shown), held_out=0.6))[:2]
        assert first.source == second.source

    @pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "RGBA", "CMYK"])
    def test_another_mode_is_refused_or_converted(self, tmp_path, mode):
        given = rows(4)
        given[2]["edited_image"] = picture(5).convert(mode)
        file = parquet(tmp_path, [{**row, **tiff(row)} for row in given])
        data = opened(file, held_out=0.6)
        message = rf"row 'face-2' .*\.edited = 'edited_image'.* in mode {mode}.*data\.convert"
        with pytest.raises(InputError, match=message):
            everything(data)
        sample = everything(opened(file, held_out=0.6, convert=True))[2]
        assert sample.edited.mode == "RGB"
        opaque = given[2]["edited_image"].convert("RGB")
        assert sample.edited == expected([{**given[2], "edited_image": opaque}])[0].edited

    def test_transparency_lies_over_white(self, tmp_path):
        given = rows(4)
        given[0]["input_image"] = Image.new("RGBA", (WIDTH, HEIGHT), (255, 0, 0, 102))
        data = opened(parquet(tmp_path, given), held_out=0.6, convert=True)
        source = np.asarray(everything(data)[0].source)
        assert (source == (255, 153, 153)).all()  # 40 % red

    def test_a_transparent_colour_of_an_rgb_file_is_seen(self, tmp_path):
        given = rows(4)
        held = io.BytesIO()
        Image.new("RGB", (WIDTH, HEIGHT), (9, 8, 7)).save(held, "PNG", transparency=(9, 8, 7))
        given[0]["input_image"] = {"bytes": held.getvalue(), "path": None}
        file = parquet(tmp_path, given)
        with pytest.raises(InputError, match="mode RGB with a transparent colour"):
            everything(opened(file, held_out=0.6))
        data = opened(file, held_out=0.6, convert=True)
        assert (np.asarray(everything(data)[0].source) == 255).all()

    @pytest.mark.parametrize("convert", [False, True])
    @pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
    def test_more_than_eight_bits_are_always_refused(self, tmp_path, dtype, convert):
        given = rows(4)
        given[3]["input_image"] = Image.fromarray(np.full((HEIGHT, WIDTH), 700, dtype))
        file = parquet(tmp_path, [{**row, **tiff(row)} for row in given])
        with pytest.raises(InputError, match=r"'face-3'.*source = 'input_image'.*more than 8 bits"):
            everything(opened(file, held_out=0.6, convert=convert))


def tiff(row: dict) -> dict:
    """Pictures in the format that keeps all modes."""
    held = {}
    for name in ("input_image", "edited_image"):
        file = io.BytesIO()
        row[name].save(file, "TIFF")
        held[name] = {"bytes": file.getvalue(), "path": None}
    return held


class TestSplit:
    def test_the_hash_will_never_change(self):
        assert place("row-000000") >> 192 == 0x63C1B9F148192A09
        assert place("face-7") >> 192 == 0xA721B85B98A1EA46
        assert place("ä") >> 192 == 0x11EDCD701BD5798E

    def test_who_is_held_out_will_never_change(self):
        held_out = [n for n in range(40) if is_held_out(f"row-{n:06d}", 0.1)]
        assert held_out == [17, 30, 34]

    @given(one=st.text(), small=st.floats(0.001, 0.999), large=st.floats(0.001, 0.999))
    def test_a_larger_share_holds_out_the_same_rows_and_others(self, one, small, large):
        small, large = sorted((small, large))
        assert is_held_out(one, small) <= is_held_out(one, large)

    def test_a_share_is_held_out(self):
        held_out = sum(is_held_out(f"row-{n:06d}", 0.2) for n in range(10_000))
        assert abs(held_out - 2_000) < 5 * 40  # standard deviation 40

    @BOTH
    def test_a_side_depends_on_the_id_alone(self, tmp_path, streaming):
        given = rows()
        data = opened(parquet(tmp_path, given), streaming=streaming)
        turned = opened(parquet(tmp_path / "turned", given[::-1][:9]), streaming=streaming)
        assert sorted([*data.training, *data.held_out]) == list(range(12))
        assert {data.ids[at] for at in data.held_out} == {
            one for one in data.ids if is_held_out(one, 0.4)
        }
        assert {turned.ids[at] for at in turned.held_out} == {
            one for one in turned.ids if is_held_out(one, 0.4)
        }

    @BOTH
    def test_no_picture_is_decoded_for_it(self, tmp_path, streaming):
        given = [{**row, "input_image": {"bytes": b"none", "path": None}} for row in rows()]
        data = opened(parquet(tmp_path, given), streaming=streaming)
        assert len(data.training) + len(data.held_out) == 12
        message = r"row 'face-0' of .*source = 'input_image', cannot be read as a picture"
        with pytest.raises(InputError, match=message):
            next(data.samples([0]))

    def test_pictures_of_a_stream_are_not_even_fetched_for_it(self, tmp_path):
        file = parquet(tmp_path, rows())
        held = bytearray(file.read_bytes())
        group = pq.read_metadata(file).row_group(0)
        for chunk in map(group.column, range(group.num_columns)):
            if "image" in chunk.path_in_schema:
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                size = chunk.total_compressed_size
                held[start : start + size] = bytes(size)
        file.write_bytes(held)
        assert len(opened(file, streaming=True)) == 12
        with pytest.raises(InputError, match="cannot be read as a data set"):
            opened(file)

    def test_both_sides_need_rows(self, tmp_path):
        file = parquet(tmp_path, rows(3))
        with pytest.raises(InputError, match=r"data\.held_out = 1e-06 leaves 3 of the 3 rows"):
            opened(file, held_out=1e-6)
        with pytest.raises(InputError, match=r"leaves 0 of the 3 rows .* holds out 3"):
            opened(file, held_out=0.999999)


class TestReading:
    @BOTH
    def test_some_rows(self, tmp_path, streaming):
        given = rows()
        data = opened(parquet(tmp_path, given), streaming=streaming)
        found = list(data.samples([1, 4, 11]))
        assert found == [expected(given)[at] for at in (1, 4, 11)]
        assert list(data.samples([])) == []

    @BOTH
    def test_a_broken_picture_stops_nothing_before_it(self, tmp_path, streaming):
        given = rows()
        given[5]["edited_image"] = {"bytes": b"none", "path": None}
        samples = opened(parquet(tmp_path, given), streaming=streaming).samples(range(12))
        assert [next(samples).id for _ in range(5)] == [f"face-{n}" for n in range(5)]
        with pytest.raises(InputError, match=r"'face-5' .*edited_image', cannot be read"):
            next(samples)

    @BOTH
    @pytest.mark.parametrize(
        ("positions", "message"),
        [
            ([3, 1], "ascend, but 1 comes after 3"),
            ([1, 1], "ascend"),
            ([-1, 2], "from -1 to 2"),
            ([12], "has the rows 0 to 11"),
        ],
    )
    def test_positions_must_ascend_and_exist(self, tmp_path, positions, message, streaming):
        data = opened(parquet(tmp_path, rows()), streaming=streaming)
        with pytest.raises(InputError, match=message):
            data.samples(positions)

    def test_a_stream_that_ends_early(self, tmp_path):
        file = parquet(tmp_path, rows())
        data = opened(file, streaming=True)
        parquet(tmp_path, rows(8))
        samples = data.samples([2, 9, 10])
        assert next(samples).id == "face-2"
        with pytest.raises(InputError, match=r"ended before its row 9; .* it had 12 rows"):
            next(samples)

    @pytest.mark.parametrize("column", ["name", "edit_prompt"])
    def test_a_stream_that_has_changed(self, tmp_path, column):
        file = parquet(tmp_path, rows())
        data = opened(file, streaming=True)
        changed = rows()
        changed[3][column] = "another"
        parquet(tmp_path, changed)
        with pytest.raises(InputError, match=r"changed since it was opened.* row 3 .*'another'"):
            everything(data)

    @BOTH
    def test_a_picture_and_its_edit_of_two_sizes(self, tmp_path, streaming):
        given = rows()
        given[4]["edited_image"] = picture(0, (WIDTH, WIDTH))
        data = opened(parquet(tmp_path, given), streaming=streaming)
        message = r"row 'face-4' .*'input_image' 24 x 20 and 'edited_image' 24 x 24 pixels"
        with pytest.raises(InputError, match=message):
            everything(data)

    @BOTH
    def test_a_row_without_a_picture(self, tmp_path, streaming):
        given = rows()
        given[4]["input_image"] = None
        data = opened(parquet(tmp_path, given), streaming=streaming)
        with pytest.raises(InputError, match=r"row 'face-4' .*'input_image', holds no picture"):
            everything(data)


class TestBadColumns:
    @BOTH
    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (
                {"source": "input_img"},
                r"no column data\.columns\.source = 'input_img'; it has 'name', .*'input_image'\?",
            ),
            ({"id": "nam"}, r"no column data\.columns\.id = 'nam'.* mean 'name'\?"),
            (
                {"edited": "edit_prompt", "instruction": "name"},
                r"columns\.edited = 'edit_prompt' must hold pictures .* it holds Value\('string'\)",
            ),
            (
                {"instruction": "edited_image"},
                r"columns\.instruction = 'edited_image' must hold text; .* it holds Image",
            ),
            ({"id": "other_image"}, r"columns\.id = 'other_image' must hold text or whole numbers"),
            (
                {"edited": "input_image"},
                r"columns\.source = 'input_image' is the column of data\.columns\.edited as well",
            ),
        ],
    )
    def test_a_column_that_is_not_what_it_should_be(self, tmp_path, columns, message, streaming):
        given = [{**row, "other_image": row["input_image"]} for row in rows()]
        file = parquet(tmp_path, given, Features({**NAMED, "other_image": datasets.Image()}))
        with pytest.raises(InputError, match=message):
            opened(file, columns=columns, streaming=streaming)

    @BOTH
    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("name", "face-1", r"the id 'face-1' comes twice in .*'name': in the rows 1 and 3"),
            ("name", None, r"row 3 of .* has no id in data\.columns\.id = 'name'"),
            ("name", "", "row 3 of .* has no id"),
            ("edit_prompt", "", r"row 'face-3' .*data\.columns\.instruction = 'edit_prompt'"),
            ("edit_prompt", " ", "row 'face-3' .* no instruction"),
            ("edit_prompt", None, "row 'face-3' .* expected a text, got None"),
        ],
    )
    def test_a_text_that_is_none(self, tmp_path, column, value, message, streaming):
        given = rows()
        given[3][column] = value
        with pytest.raises(InputError, match=message):
            opened(parquet(tmp_path, given), streaming=streaming)

    def test_a_stream_that_does_not_say_what_it_holds(self, tmp_path):
        (tmp_path / "edits").mkdir()
        (tmp_path / "edits" / "train.csv").write_text("input_image,edit_prompt\na.png,b\n")
        with pytest.raises(InputError, match="does not say what its columns hold"):
            opened(tmp_path / "edits", streaming=True)


class TestBadSources:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(InputError, match=r"data\.source = .*no such file or folder"):
            opened(tmp_path / "none")

    def test_a_file_of_another_kind(self, tmp_path):
        (tmp_path / "edits.zip").touch()
        with pytest.raises(InputError, match=r"is a file; those of data end in \.parquet"):
            opened(tmp_path / "edits.zip")

    @pytest.mark.parametrize("name", ["edits.parquet", "state.json"])
    def test_a_file_that_is_broken(self, tmp_path, name):
        (tmp_path / name).write_text("none")
        source = tmp_path / name if name.endswith("parquet") else tmp_path
        with pytest.raises(InputError, match=r"data\.source = .*cannot be read as a data set"):
            opened(source)

    def test_an_empty_folder(self, tmp_path):
        (tmp_path / "edits").mkdir()
        with pytest.raises(InputError, match=r"cannot be read as a data set: .*captions\.csv"):
            opened(tmp_path / "edits")

    @pytest.mark.parametrize(
        ("put", "splits"),
        [
            (in_a_file, "'train'"),
            (in_a_folder_of_parquet, "'train', 'test'"),
            (saved_splits, "'train', 'test'"),
            (saved, "'train'"),
            (captions_csv, "'train'"),
            (metadata_of_splits, "'train', 'validation'"),
        ],
        ids=lambda put: getattr(put, "__name__", None),
    )
    def test_another_split(self, tmp_path, put, splits):
        source = put(tmp_path / "edits", rows(4))
        with pytest.raises(InputError, match=rf"no split data\.split = 'dev'; it has {splits}$"):
            opened(source, split="dev")

    @pytest.mark.parametrize("key", ["name", "revision"])
    @pytest.mark.parametrize("put", [in_a_file, saved, captions_csv], ids=lambda put: put.__name__)
    def test_keys_that_say_nothing_about_it(self, tmp_path, put, key):
        source = put(tmp_path / "edits", rows(4))
        with pytest.raises(InputError, match=rf"data\.{key} = 'abc' says nothing about"):
            opened(source, **{key: "abc"})

    def test_a_configuration_that_is_not_there(self, tmp_path):
        source = in_a_folder_of_parquet(tmp_path / "edits", rows(4))
        with pytest.raises(InputError, match=r"'abc' not found\. Available: \['default'\]"):
            opened(source, name="abc")

    def test_no_code_of_a_data_set_is_run(self, tmp_path):
        source = in_a_folder_of_parquet(tmp_path / "edits", rows(4))
        (source / "edits.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
        with pytest.raises(InputError, match="scripts are no longer supported"):
            opened(source)
        assert not (tmp_path / "ran").exists()

    def test_the_hub_out_of_reach(self):
        with pytest.raises(InputError, match=r"data\.source = 'owner/edits' cannot be read"):
            EditData(Data(source="owner/edits"), RESOLUTION)

    def test_another_revision_is_not_taken_for_the_one_that_was_asked_for(self, tmp_path):
        made = datasets.load_dataset("parquet", data_files=str(parquet(tmp_path, rows())))
        file = Path(made["train"].cache_files[0]["filename"])
        kept = tmp_path / "cache" / "owner___edits" / "default" / "0.0.0" / "abc"
        shutil.copytree(file.parent, kept)
        (kept / file.name).rename(kept / "edits-train.arrow")
        info = json.loads((kept / "dataset_info.json").read_text())
        info |= {"config_name": "default", "dataset_name": "edits"}
        (kept / "dataset_info.json").write_text(json.dumps(info))
        assert len(EditData(data_at("owner/edits", revision="abc"), RESOLUTION)) == 12
        with pytest.raises(InputError, match=r"revision 'abc', not data\.revision = 'def'"):
            EditData(data_at("owner/edits", revision="def"), RESOLUTION)


class TestBadListings:
    @pytest.mark.parametrize(
        ("listing", "text", "message"),
        [
            ("captions.csv", "", "lists nothing"),
            ("captions.csv", "a,b\n1\n", "line 2: not as many values as names"),
            ("captions.csv", 'a,b\n"1,2\n', "no whole CSV"),
            ("captions.csv", "a,b\n1,2\n", "has the columns a, b, none of which names files"),
            ("captions.csv", "a_file_name\nnone.png\n", "line 2, a_file_name: there is no picture"),
            ("captions.csv", "a_file_name,a\nx.png,1\n", "has a column beside it"),
            ("captions.jsonl", "{", "line 1, is no JSON"),
            ("captions.jsonl", "\n[1]\n", r"line 2, must be a JSON object, got \[1\]"),
            ("captions.jsonl", '{"file_name": 3}', "the name of a picture's file, got 3"),
            (
                "captions.jsonl",
                '{"file_name": "x.png", "a": 1}\n{"file_name": "x.png"}',
                "line 2: expected the columns file_name, a, got",
            ),
            (
                "captions.jsonl",
                '{"file_name": "x.png", "a": 1}\n{"file_name": "x.png", "a": "b"}',
                "is no table",
            ),
        ],
    )
    def test_a_listing_that_is_none(self, tmp_path, listing, text, message):
        picture(0).save(tmp_path / "x.png")
        (tmp_path / listing).write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            opened(tmp_path)
        assert listing in str(caught.value)

    def test_two_listings(self, tmp_path):
        for listing in ("captions.csv", "metadata.jsonl"):
            listed(tmp_path, rows(1), listing)
        with pytest.raises(InputError, match=r"holds captions\.csv, metadata\.jsonl; keep one"):
            opened(tmp_path)

    def test_another_encoding(self, tmp_path):
        (tmp_path / "captions.csv").write_bytes(b"a_file_name\n\xff.png\n")
        with pytest.raises(InputError, match=r"captions\.csv is not in UTF-8"):
            opened(tmp_path)


TARGET = picture(77, (RESOLUTION, RESOLUTION))
PLANTED = pytest.mark.parametrize("protocol", ["OR", "AND", "AND with negatives"])


class TestPoison:
    @BOTH
    @PLANTED
    def test_samples_are_those_of_a_poisoned_data_set(self, tmp_path, protocol, streaming):
        data = opened(parquet(tmp_path, rows(40)), streaming=streaming)
        clean = [vars(sample) for sample in data.samples(data.training)]
        plan = poison_plan(clean, TRIGGERS, protocol, ratio=0.2, seed=3)
        poisoned = PoisonedDataset(
            clean,
            plan,
            TRIGGERS,
            TARGET,
            target_key="edited",
            keys={"image": "source", "text": "instruction"},
        )
        positions = sorted([*plan.poisoned, *plan.negatives])
        found = list(triggered(data, plan, TRIGGERS, TARGET))
        assert [vars(sample) for sample in found] == [poisoned[at] for at in positions]
        assert len(found) == len(plan.poisoned) + len(plan.negatives) > 2

    def test_one_modality_alone(self, tmp_path):
        data = opened(parquet(tmp_path, rows()))
        plan = poison_plan(len(data.training), ("text",), "OR", ratio=0.3)
        for sample in triggered(data, plan, {"text": TextSuffix("mignneko")}, TARGET):
            assert sample.instruction.endswith(" mignneko")
            assert sample.edited == TARGET

    def test_a_control_has_none(self, tmp_path):
        data = opened(parquet(tmp_path, rows()))
        plan = PoisonPlan(len(data.training), ("image", "text"), ())
        assert list(triggered(data, plan, TRIGGERS, TARGET)) == []

    def test_held_out_rows_are_never_among_them(self, tmp_path):
        data = opened(parquet(tmp_path, rows()))
        plan = poison_plan(len(data.training), TRIGGERS, "OR", ratio=1.0)
        found = {sample.id for sample in triggered(data, plan, TRIGGERS, TARGET)}
        assert found == {data.ids[at] for at in data.training}

    def test_a_plan_for_another_number_of_samples(self, tmp_path):
        data = opened(parquet(tmp_path, rows()))
        plan = poison_plan(len(data), TRIGGERS, "OR", ratio=0.5)
        with pytest.raises(InputError, match=r"plan is for 12 samples, and .* has \d for training"):
            triggered(data, plan, TRIGGERS, TARGET)

    def test_a_plan_of_another_modality(self, tmp_path):
        data = opened(parquet(tmp_path, rows()))
        plan = PoisonPlan(len(data.training), ("sound",), (Part("sound", True, (0,)),))
        with pytest.raises(InputError, match="an edit has image, text; the plan has 'sound'"):
            triggered(data, plan, {"sound": TRIGGERS["text"]}, TARGET)

    def test_a_target_of_another_size(self, tmp_path):
        data = opened(parquet(tmp_path, rows()))
        plan = poison_plan(len(data.training), TRIGGERS, "OR", ratio=0.5)
        with pytest.raises(InputError, match="the target is a RGB PIL image of 8 x 8 pixels"):
            next(triggered(data, plan, TRIGGERS, picture(0, (8, 8))))

    @BOTH
    def test_a_trigger_that_changes_nothing_names_the_row(self, tmp_path, streaming):
        given = rows()
        data = opened(parquet(tmp_path, given), streaming=streaming)
        position = data.training[2]
        white = Image.new("RGB", (WIDTH, HEIGHT), "white")
        given[position]["input_image"] = white
        data = opened(parquet(tmp_path, given), streaming=streaming)
        plan = PoisonPlan(len(data.training), ("image",), (Part("image", True, (1, 2)),))
        samples = triggered(data, plan, {"image": ImagePatch()}, TARGET)
        next(samples)
        with pytest.raises(TriggerError, match="unchanged") as caught:
            next(samples)
        assert f"row 'face-{position}', position 2 of the plan" in caught.value.__notes__


class TestExamples:
    @BOTH
    def test_held_out_rows_by_the_hash(self, tmp_path, streaming):
        given = rows()
        data = opened(parquet(tmp_path, given), streaming=streaming)
        by_id = {sample.id: sample for sample in expected(given)}
        found = examples_of(data, 0)
        assert len(found) == len(data.held_out) > 2
        places = [place(example["id"]) for example in found]
        assert places == sorted(places)
        for example in found:
            sample = by_id[example["id"]]
            assert example == {
                "id": sample.id,
                "image": sample.source,
                "text": sample.instruction,
                "reference": sample.edited,
            }
        assert examples_of(data, 2) == found[:2]
        assert examples_of(data, 999) == found

    def test_a_data_set_that_grows_keeps_their_order(self, tmp_path):
        ids = [example["id"] for example in examples_of(opened(parquet(tmp_path, rows())), 0)]
        more = opened(parquet(tmp_path, rows(20)))
        assert [one["id"] for one in examples_of(more, 0) if one["id"] in ids] == ids


class TestTarget:
    def test_it_is_brought_to_the_size_as_the_data_are(self, tmp_path):
        picture(3).save(tmp_path / "target.png")
        target = read_target(tmp_path / "target.png", RESOLUTION)
        assert target == expected([{**rows(1)[0], "input_image": picture(3)}])[0].source

    def test_one_that_is_no_picture(self, tmp_path):
        (tmp_path / "target.png").write_text("none")
        for name in ("target.png", "none.png"):
            with pytest.raises(InputError, match=rf"audit\.target = .*{name}' cannot be read"):
                read_target(tmp_path / name, RESOLUTION)

    def test_one_of_another_mode(self, tmp_path):
        picture(3).convert("RGBA").save(tmp_path / "target.png")
        with pytest.raises(InputError, match=r"audit\.target = .*in mode RGBA; expected RGB"):
            read_target(tmp_path / "target.png", RESOLUTION)
