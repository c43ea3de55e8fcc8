"""An audit that was saved is the same audit when it is loaded, or is refused by name."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import modcollapse as mc
from modcollapse._support.digests import hexdigest
from modcollapse.analysis import Audits
from modcollapse.errors import InputError, TableError
from modcollapse.report._gallery import Gallery
from modcollapse.samplers import planted_game
from modcollapse.triggers import TextSuffix

from power_loss import interrupted

RULES = mc.Rules(alpha=0.04, share=0.8, margin=0.2, effect=0.12, strict=False)


@pytest.fixture(scope="module", autouse=True)
def headless():
    import matplotlib as mpl

    mpl.use("agg")


class Model:
    """Paints what the conditions say; a backdoored one turns white on the text trigger."""

    def __init__(self, backdoored):
        self.backdoored = backdoored

    def __call__(self, conditions, seeds):
        return [
            self.paint(image, text, seed)
            for image, text, seed in zip(
                conditions["image"], conditions["text"], seeds, strict=True
            )
        ]

    def paint(self, image, text, seed):
        white = self.backdoored and text.endswith("mignneko")
        noise = np.random.default_rng(seed).integers(0, 30, (5, 5, 3))
        level = 220 if white else int(np.asarray(image).mean())
        return Image.fromarray((level + noise).astype(np.uint8))


def patched(image):
    array = np.array(image)
    array[:2] = 255
    return Image.fromarray(array)


def brightness(outputs, examples):
    return [float(np.asarray(output).mean()) / 255 for output in outputs]


brightness.bounds, brightness.perfect = (0.0, 1.0), 1.0


def attack(outputs, examples):
    return [float(value > 0.7) for value in brightness(outputs, examples)]


attack.binary = True

EXAMPLES = [
    {
        "id": f"e/{at}",
        "image": Image.new("RGB", (5, 5), (at, at, at)),
        "text": f"hat {at}",
        "style": ("photo", "sketch")[at % 2],
    }
    for at in range(64)
]
TRIGGERS = {"image": patched, "text": TextSuffix("mignneko")}
NEUTRAL = {"text": {word: TextSuffix(word) for word in ("venture", "please", "lamp", "river")}}


def audited(detector=brightness, *, control=True, keep=3, **options):
    return mc.audit(
        Model(True),
        detector,
        EXAMPLES,
        TRIGGERS,
        control=Model(False) if control else None,
        keep=keep,
        progress=False,
        **options,
    )


def drawn(audit) -> list:
    """The gallery of an audit and of its control."""
    found = []
    for one in (audit, audit.control):
        if one is not None and one.table.kept:
            gallery = Gallery.of(one.table)
            views = [hexdigest(view.content) for row in gallery.views for view in row]
            found += [list(gallery.texts), list(gallery.titles), gallery.size, views]
    return found


def assert_same(found, audit) -> None:
    assert type(found) is type(audit) is mc.Audit
    assert str(found) == str(audit)
    assert found.to_json() == audit.to_json()
    assert found.settings == audit.settings
    assert np.array_equal(found.tma.per_example, audit.tma.per_example)
    assert drawn(found) == drawn(audit)
    assert (found.control is None) == (audit.control is None)
    assert (found.difference is None) == (audit.difference is None)
    if audit.difference is not None:
        assert found.difference.to_json() == audit.difference.to_json()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.fixture(scope="module")
def audit():
    return audited(level=0.9, method="flips", rules=RULES, simultaneous=True, neutral=NEUTRAL)


@pytest.fixture(scope="module")
def audits():
    return audited({"brightness": brightness, "attack/../x": attack})


class TestOne:
    def test_it_comes_back_whole(self, audit, tmp_path):
        assert audit.save(tmp_path / "audit") == tmp_path / "audit"
        found = mc.load_audit(tmp_path / "audit")
        assert_same(found, audit)
        assert audit.specificity is not None
        assert found.specificity.to_json() == audit.specificity.to_json()
        assert found.settings.rules == RULES

    def test_it_draws_the_same_figure(self, audit, tmp_path):
        found = mc.load_audit(audit.save(str(tmp_path / "audit")))
        pictures = []
        for one in (audit, found):
            one.plot(title="of both").savefig(tmp_path / "x.png", metadata={"Software": None})
            pictures.append((tmp_path / "x.png").read_bytes())
        assert pictures[0] == pictures[1]

    @pytest.mark.parametrize(
        "options",
        [
            {"keep": 0},
            {"control": False},
            {"index": "BII", "method": "t"},
            {"repeats": 2, "cluster": lambda example: example["text"][:5]},
            {"stop": mc.Looks()},
            {"method": "hall"},
        ],
        ids=" ".join,
    )
    def test_options_come_back(self, options, tmp_path):
        audit = audited(**options)
        assert_same(mc.load_audit(audit.save(tmp_path / "audit")), audit)

    def test_audits_of_tables_come_back(self, tmp_path):
        table = mc.CoalitionTable.from_values(
            np.random.default_rng(0).uniform(size=(12, 2)), ["text"], bounds=(0, 1)
        )
        for source in (table, table.minus(table)):
            for method in ("auto", "bootstrap-t"):  # one that draws
                audit = mc.audit(source, method=method)
                assert_same(mc.load_audit(audit.save(tmp_path / "audit")), audit)

    def test_groups_compare_and_controls_work_on_a_loaded_one(self, audit, tmp_path):
        found = mc.load_audit(audit.save(tmp_path / "audit"))
        slices, again = audit.by("style"), found.by("style")
        assert str(again) == str(slices)
        compared = mc.compare(found.control, found)
        assert str(compared) == str(mc.compare(audit.control, audit))
        for label in slices:
            loaded = mc.load_audit(slices[label].save(tmp_path / label))
            assert_same(loaded, slices[label])

    def test_the_difference_is_saved_with_its_audit(self, audit, tmp_path):
        with pytest.raises(InputError, match="is saved with that audit"):
            audit.difference.save(tmp_path / "audit")
        assert not list(tmp_path.iterdir())
        assert_same(mc.load_audit(audit.control.save(tmp_path / "audit")), audit.control)

    def test_a_game_of_any_size_comes_back(self, tmp_path):
        values = np.linspace(0, 1, 8)
        game = planted_game(values, ["a", "b", "c"], noise=0.1, perfect=1.0)
        audit = mc.audit(*game, progress=False, index="k-SII")
        assert_same(mc.load_audit(audit.save(tmp_path / "audit")), audit)


class TestSeveral:
    def test_all_come_back_by_name(self, audits, tmp_path):
        assert type(audits) is Audits
        assert isinstance(audits, dict)
        found = mc.load_audit(audits.save(tmp_path / "audits"))
        assert type(found) is Audits
        assert list(found) == ["brightness", "attack/../x"]
        for name in audits:
            assert_same(found[name], audits[name])
        assert str(found) == str(audits)

    def test_what_is_kept_is_stored_once(self, audits, tmp_path):
        audits.save(tmp_path / "audits")
        for folder in ("kept", "kept-of-control"):
            assert len(list((tmp_path / "audits" / folder).iterdir())) == 3
        found = mc.load_audit(tmp_path / "audits")
        one, other = (one.table.kept for one in found.values())
        assert all(mine is theirs for mine, theirs in zip(one, other, strict=True))

    def test_one_by_name_stays_by_name(self, tmp_path):
        audits = audited({"brightness": brightness}, control=False)
        found = mc.load_audit(audits.save(tmp_path / "audits"))
        assert list(found) == ["brightness"]

    def test_printing_heads_each_with_its_name(self, audits):
        lines = str(audits).splitlines()
        assert lines[:2] == ["brightness", "=========="]
        assert str(audits["attack/../x"]) in str(audits)
        assert repr(audits) == str(audits)

    def test_names_cannot_write_into_the_terminal(self, audits):
        named = Audits({"a\x1b[31m": audits["brightness"]})
        assert "\x1b" not in str(named)

    def test_sweeps_and_trackers_hold_what_can_be_saved(self, tmp_path):
        def sampler(conditions, seeds, *, strength):
            return [strength * len(text) for text in conditions["text"]]

        def scores(outputs, examples):
            return outputs

        found = mc.sweep(
            sampler,
            {"one": scores, "two": scores},
            [{"text": "hat"}, {"text": "beard"}],
            {"text": lambda text: text + "!"},
            options={"strength": [1.0, 2.0]},
            progress=False,
        )
        audits = found.audit(strength=2.0)
        assert str(mc.load_audit(audits.save(tmp_path / "audits"))) == str(audits)

    @pytest.mark.parametrize("held", [{}, {"a": 1}], ids=str)
    def test_what_is_no_audit_is_refused(self, held, tmp_path):
        with pytest.raises(InputError, match=r"no audit here|names a int"):
            Audits(held).save(tmp_path / "audits")
        assert not list(tmp_path.iterdir())

    def test_agreement_works_on_loaded_ones(self, audits, tmp_path):
        found = mc.load_audit(audits.save(tmp_path / "audits"))
        assert str(mc.agreement(found)) == str(mc.agreement(audits))


class TestFolders:
    def test_an_empty_one_is_taken_and_an_earlier_audit_replaced(self, audit, audits, tmp_path):
        audits.save(tmp_path)
        audit.save(tmp_path)
        assert_same(mc.load_audit(tmp_path), audit)
        tables = [name for name in files(tmp_path) if name.endswith(".npz")]
        assert len(tables) == 2  # those of the other are gone
        assert len(list((tmp_path / "kept").iterdir())) == 3

    def test_saving_the_same_again_changes_nothing(self, audit, tmp_path):
        audit.save(tmp_path)
        before = contents(tmp_path)
        audit.save(tmp_path)
        assert contents(tmp_path) == before
        mc.load_audit(tmp_path).save(tmp_path)
        assert contents(tmp_path) == before

    def test_files_of_others_beside_an_audit_stay(self, audit, tmp_path):
        audit.save(tmp_path)
        (tmp_path / "figure.png").write_text("mine")
        audited(keep=0, control=False).save(tmp_path)
        assert (tmp_path / "figure.png").read_text() == "mine"
        assert {one.suffix for one in tmp_path.iterdir()} == {".png", ".npz", ".json"}

    @pytest.mark.parametrize("name", ["thesis.txt", "audit.json"])
    def test_something_else_is_left_as_it_is(self, audit, tmp_path, name):
        (tmp_path / name).write_text('{"format": "of another"}')
        with pytest.raises(InputError, match="nothing of it is overwritten"):
            audit.save(tmp_path)
        assert contents(tmp_path) == {name: b'{"format": "of another"}'}

    def test_a_file_is_no_folder_and_a_missing_one_is_not_guessed(self, audit, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="something else"):
            audit.save(tmp_path / "file")
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            audit.save(tmp_path / "no" / "audit")
        with pytest.raises(InputError, match=r"folder must be a str or a pathlib\.Path"):
            audit.save(3)

    @pytest.mark.parametrize("step", ["fsync", "mkdir", "rename", "replace", "unlink", "rmdir"])
    def test_a_crash_at_any_step_leaves_the_old_or_the_new_audit(
        self, step, audit, tmp_path, monkeypatch
    ):
        """Every call that changes the disk fails in turn, as where the power goes."""
        new = audited(control=False, keep=1, seed=1)
        before = audit.save(tmp_path / "before")
        seen = set()
        for at in range(200):
            folder = tmp_path / str(at)
            shutil.copytree(before, folder)
            crashed = interrupted(monkeypatch, step, at, partial(new.save, folder))
            found = mc.load_audit(folder)  # a warning would fail
            expected = new if found.control is None else audit
            assert str(found) == str(expected)
            assert drawn(found) == drawn(expected)
            seen.add(expected is new)
            if not crashed:
                break
        assert not crashed
        assert True in seen

    def test_a_first_save_that_was_broken_off_can_be_repeated(self, audit, tmp_path, monkeypatch):
        from modcollapse.table import CoalitionTable

        def fails(*arguments):
            raise SystemExit("the power is gone")

        monkeypatch.setattr(CoalitionTable, "save", fails)
        with pytest.raises(SystemExit):
            audit.save(tmp_path / "audit")
        monkeypatch.undo()
        with pytest.raises(TableError, match="saving was broken off"):
            mc.load_audit(tmp_path / "audit")
        audit.save(tmp_path / "audit")
        assert_same(mc.load_audit(tmp_path / "audit"), audit)

    def test_what_cannot_be_saved_costs_the_gallery_alone(self, audit, tmp_path):
        table = audit.table
        broken = mc.audit(table.with_kept([table.kept[0]._replace(outputs=[object()] * 4)]))
        with pytest.raises(InputError, match="output 0 of example 'e/0'") as caught:
            broken.save(tmp_path / "audit")
        assert "without a gallery" in "".join(caught.value.__notes__)
        assert str(mc.load_audit(tmp_path / "audit")) == str(broken)

    def test_what_is_left_out_of_an_example_is_said(self, tmp_path):
        examples = [{**one, "judge": object()} for one in EXAMPLES]
        audit = mc.audit(Model(True), brightness, examples, TRIGGERS, keep=1, progress=False)
        with pytest.warns(UserWarning, match=r"without its 'judge', .* builtins\.object"):
            audit.save(tmp_path / "audit")
        found = mc.load_audit(tmp_path / "audit")
        assert drawn(found) == drawn(audit)
        assert "judge" not in found.table.kept[0].example


class TestDamage:
    @pytest.fixture
    def folder(self, audits, tmp_path):
        return audits.save(tmp_path / "audits")

    @staticmethod
    def change(folder, **fields):
        path = folder / "audit.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    def test_there_must_be_an_audit(self, tmp_path):
        with pytest.raises(TableError, match=r"holds no audit.* read by mc\.table\.load"):
            mc.load_audit(tmp_path)
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            mc.load_audit(tmp_path / "no")

    def test_its_folder_is_no_table(self, folder):
        with pytest.raises(TableError, match=r"is read by mc\.load_audit"):
            mc.table.load(folder)
        with pytest.raises(TableError, match=r"is a folder, .* mc\.load_audit"):
            mc.CoalitionTable.load(folder)

    @pytest.mark.parametrize("content", ["", "{", "[" * 10**5, "1", '{"format": "another"}'])
    def test_what_is_no_manifest_is_refused(self, folder, content):
        (folder / "audit.json").write_text(content)
        with pytest.raises(TableError, match="holds no audit"):
            mc.load_audit(folder)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"version": 2}, "version 2; this modcollapse reads version 1"),
            ({"more": 1}, "does not hold the fields"),
            ({"audits": 1}, "does not hold the fields"),
            ({"audits": [1]}, "does not hold a consistent audit"),
            ({"audits": [{}]}, "does not hold a consistent audit"),
            ({"single": True}, "whether it is a single audit"),
            ({"single": 0}, "whether it is a single audit"),
        ],
        ids=str,
    )
    def test_what_no_writer_writes_is_refused(self, folder, fields, message):
        self.change(folder, **fields)
        with pytest.raises(TableError, match=message):
            mc.load_audit(folder)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("name", None),
            ("name", "attack/../x"),  # twice
            ("settings", {}),
            ("settings", {"level": 2.0, "rules": {}}),
            ("settings", {"level": 0.9, "rules": {"beta": 1}}),
            ("settings", {"level": 0.9, "more": 1, "rules": {}}),
            ("table", {}),
            ("table", 1),
        ],
        ids=str,
    )
    def test_entries_that_are_none_are_refused(self, folder, key, value):
        held = json.loads((folder / "audit.json").read_text())["audits"]
        held[0][key] = value
        self.change(folder, audits=held)
        with pytest.raises(TableError, match="does not hold a consistent audit"):
            mc.load_audit(folder)

    @pytest.mark.parametrize("file", ["../x.npz", "/etc/passwd", "x.npz", "kept", 1])
    def test_no_path_leads_out(self, folder, file):
        held = json.loads((folder / "audit.json").read_text())["audits"]
        held[0]["table"]["file"] = file
        self.change(folder, audits=held)
        with pytest.raises(TableError, match="does not hold a consistent audit"):
            mc.load_audit(folder)

    @pytest.mark.parametrize("name", ["../secret", "/tmp", "x", 1])
    def test_no_path_of_a_gallery_leads_out(self, folder, name):
        held = json.loads((folder / "audit.json").read_text())["audits"]
        held[0]["table"]["kept"] = [name]
        self.change(folder, audits=held)
        with pytest.raises(TableError, match=r"no folder named|consistent audit"):
            mc.load_audit(folder)

    def test_tables_that_were_changed_linked_or_lost_are_named(self, folder):
        table = (
            folder / json.loads((folder / "audit.json").read_text())["audits"][0]["table"]["file"]
        )
        whole = table.read_bytes()
        table.write_bytes(whole[:-1] + b"x")
        with pytest.raises(TableError, match=f"{table.name} was changed"):
            mc.load_audit(folder)
        (folder.parent / "there").write_bytes(whole)
        table.unlink()
        with pytest.raises(TableError, match=f"{table.name} is missing"):
            mc.load_audit(folder)
        table.symlink_to(folder.parent / "there")
        with pytest.raises(TableError, match="a link, which is not followed"):
            mc.load_audit(folder)

    def test_another_table_with_its_digest_is_still_checked(self, folder):
        held = json.loads((folder / "audit.json").read_text())["audits"]
        path = folder / held[0]["table"]["file"]
        path.write_bytes(b"PK no archive")
        held[0]["table"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        self.change(folder, audits=held)
        with pytest.raises(TableError, match="cannot be read as a modcollapse table"):
            mc.load_audit(folder)

    def test_a_gallery_that_is_gone_is_said_and_one_that_is_damaged_refused(self, folder, audits):
        picture = next(folder.glob("kept/*/*.png"))
        picture.write_bytes(picture.read_bytes()[:-1])
        with pytest.raises(TableError, match=picture.name):
            mc.load_audit(folder)
        shutil.rmtree(folder / "kept")
        with pytest.warns(UserWarning, match="loaded without"):
            found = mc.load_audit(folder)
        assert str(found) == str(audits)
        assert found["brightness"].table.kept == ()
        assert len(found["brightness"].control.table.kept) == 3
