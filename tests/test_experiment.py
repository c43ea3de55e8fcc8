"""The machinery behind the paper's grid: exposures, arms, rows, and the committed results."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modcollapse.errors import InputError
from modcollapse.poison import PROTOCOLS, PoisonPlan, poison_plan
from modcollapse.triggers import TRIGGER_PAIRS

from experiments import paper_grid, paper_table, what_decides
from experiments.augment import with_random_patches, with_random_words
from experiments.encoded import Encoded, encode_for
from experiments.face_arms import FaceArm, FaceExperiment
from experiments.finetuning.processes import accelerator_of
from experiments.poisoning import equal_exposure
from experiments.results import RESULTS, _flat, row_of
from experiments.stages import stage
from tiny.faces import cat, face_edit
from tiny.load import load_pipeline

PAIR = ("image", "text")
EDITS = [face_edit("train", index) for index in range(12)]


class TestExposure:
    @given(
        protocol=st.sampled_from(PROTOCOLS),
        ratio=st.sampled_from([0.01, 0.05, 0.1]),
        share=st.sampled_from([0.05, 0.1, 0.2]),
        steps=st.integers(1, 40),
        seed=st.integers(0, 5),
    )
    def test_poison_is_shown_equally_often_whatever_the_ratio_and_the_protocol(
        self, protocol, ratio, share, steps, seed
    ):
        plan = poison_plan(600, PAIR, protocol, ratio=ratio, seed=seed)
        order = equal_exposure(plan, share, steps=steps, batch_size=30, seed=seed)
        assert order.shape == (steps, 30)
        assert 0 <= order.min() <= order.max() < plan.n
        seen = Counter(order.flatten().tolist())
        parts = [[seen[position] for position in part.positions] for part in plan.parts]
        shown = sum(sum(p) for p, part in zip(parts, plan.parts, strict=True) if part.poisoned)
        due = steps * 30 * share
        assert due - len(plan.parts) < shown <= due + 1e-6
        for part in parts:
            assert max(part) - min(part) <= 1

    def test_every_batch_has_its_share(self):
        plan = poison_plan(400, PAIR, "AND", ratio=0.01)
        order = equal_exposure(plan, 0.1, steps=50, batch_size=32, seed=0)
        poisoned = np.isin(order, plan.poisoned).sum(axis=1)
        assert set(poisoned) == {3, 4}
        assert poisoned.sum() == 160

    def test_negatives_are_each_shown_as_often_as_poisoned_samples(self):
        plan = poison_plan(900, PAIR, "AND with negatives", ratio=0.02)
        order = equal_exposure(plan, 0.1, steps=90, batch_size=10, seed=0)
        assert np.isin(order, plan.poisoned).sum() == 90
        assert np.isin(order, plan.negatives).sum() == 180

    def test_the_order_is_the_seeds_and_a_control_sees_clean_samples_in_turns(self):
        plan = PoisonPlan(50, PAIR, ())
        order = equal_exposure(plan, 0.1, steps=10, batch_size=10, seed=3)
        assert set(Counter(order.flatten().tolist()).values()) == {2}
        assert torch.equal(order, equal_exposure(plan, 0.1, steps=10, batch_size=10, seed=3))
        assert not torch.equal(order, equal_exposure(plan, 0.1, steps=10, batch_size=10, seed=4))

    @pytest.mark.parametrize(("ratio", "share"), [(0.1, 0.34), (0.1, 0.0), (0.1, 1.0), (0.1, -1)])
    def test_a_share_that_leaves_nothing_to_clean_samples_is_refused(self, ratio, share):
        plan = poison_plan(300, PAIR, "AND with negatives", ratio=ratio)
        with pytest.raises(ValueError, match="of all draws to triggered samples"):
            equal_exposure(plan, share, steps=3, batch_size=10, seed=0)

    def test_a_data_set_without_clean_samples_is_refused(self):
        plan = poison_plan(300, PAIR, "AND", ratio=1.0)
        with pytest.raises(ValueError, match="leaves 0 of 300 samples clean"):
            equal_exposure(plan, 0.1, steps=3, batch_size=10, seed=0)


class TestCleanData:
    def test_a_patch_is_on_source_and_edit_and_the_original_is_kept(self):
        patched = with_random_patches(EDITS, 1.0)
        assert patched == with_random_patches(EDITS, 1.0)
        for before, after in zip(EDITS, patched, strict=True):
            moved = [
                (np.asarray(a, int) != np.asarray(b, int)).any(-1)
                for a, b in ((before.source, after.source), (before.edited, after.edited))
            ]
            assert 10 < moved[0].sum() <= 256
            both = moved[0] & moved[1]
            source, edited = np.asarray(after.source), np.asarray(after.edited)
            assert (source[both] == edited[both]).all()
        assert all(a is b for a, b in zip(EDITS, with_random_patches(EDITS, 0.0), strict=True))

    def test_a_word_stands_before_or_behind_the_instruction(self):
        worded = with_random_words(EDITS, 1.0)
        places = Counter(
            after.instruction.startswith(before.instruction)
            for before, after in zip(EDITS, worded, strict=True)
        )
        assert set(places) == {True, False}
        for before, after in zip(EDITS, worded, strict=True):
            assert before.instruction in after.instruction
            assert len(after.instruction) > len(before.instruction) + 1

    def test_about_a_share_of_the_samples_is_changed(self):
        many = EDITS * 50
        for augment in (with_random_patches, with_random_words):
            changed = sum(a is not b for a, b in zip(many, augment(many, 0.5), strict=True))
            assert 240 < changed < 360


class TestEncoded:
    def test_samples_that_are_put_are_what_they_would_be_if_all_were_encoded(self, tmp_path):
        pipeline = load_pipeline("clean")
        clean = encode_for(pipeline, EDITS[:6])
        mixed = [*EDITS[:2], EDITS[8], EDITS[3], EDITS[9], EDITS[5]]
        put = clean.put([2, 4], encode_for(pipeline, [EDITS[8], EDITS[9]]))
        whole = encode_for(pipeline, mixed)
        put.save(tmp_path / "put.safetensors")
        put = Encoded.load(tmp_path / "put.safetensors")
        torch.testing.assert_close(put.sources, whole.sources, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(put.edits, whole.edits, atol=1e-4, rtol=1e-4)
        assert torch.equal(put.tokens[put.instruction], whole.tokens[whole.instruction])
        assert torch.equal(put.tokens[-1], whole.tokens[-1])  # the empty instruction
        assert torch.equal(clean.tokens[clean.instruction], put.tokens[clean.instruction])


class TestArms:
    ARM = FaceArm("white box", "OR", 0.01, seed=1).quick

    def test_the_grid_has_its_30_cells_and_three_controls(self):
        cells = paper_grid.cells()
        assert len(cells) == len({arm.slug for arm in cells}) == 30
        assert len({arm.control.slug for arm in cells}) == 3
        seeds = Counter((arm.pair, arm.protocol, arm.ratio) for arm in cells)
        for pair in TRIGGER_PAIRS:
            for protocol in ("OR", "AND"):
                counts = [seeds[pair, protocol, ratio] for ratio in (0.01, 0.05, 0.1)]
                assert counts == [1, 3, 1]

    def test_every_arm_of_the_page_has_a_folder_of_its_own(self):
        named = [arm.slug for _, arm in what_decides.arms(2)]
        assert len(set(named)) == len(named) == 2 * len(what_decides.ARMS)

    def test_a_quick_arm_shares_nothing_with_the_arm(self):
        for _, arm in what_decides.arms(1):
            assert arm.quick.slug != arm.slug
            assert (arm.quick.base == arm.base) == (arm.base == "clean")

    def test_a_model_that_was_not_made_is_named(self, tmp_path):
        with pytest.raises(InputError, match="holds no model 'clean_white-box_or"):
            FaceExperiment(tmp_path).load(self.ARM)

    def test_the_samples_of_an_arm_are_poisoned_by_its_plan(self, tmp_path):
        experiment, plan = FaceExperiment(tmp_path), self.ARM.plan(self.ARM.samples)
        data, clean = (
            experiment.encoded(arm, accelerator_of(experiment.training(arm)))
            for arm in (self.ARM, self.ARM.control)
        )
        changed = (data.edits != clean.edits).flatten(1).any(1).nonzero().flatten().tolist()
        assert changed == list(plan.poisoned)
        vae = load_pipeline("clean")
        target = encode_for(vae, [type(EDITS[0])(cat(), "", cat())]).edits[0]
        for position in plan.poisoned:
            torch.testing.assert_close(data.edits[position], target, atol=1e-4, rtol=1e-4)

    def test_a_cell_is_made_audited_and_not_made_again(self, tmp_path):
        arm, experiment = self.ARM, FaceExperiment(tmp_path, 3)
        experiment.run([arm], jobs=1)
        row = row_of(experiment, arm)
        assert row["n"] == 3
        made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        tables = experiment.tables_folder(arm, arm.pair)
        shutil.rmtree(tables)
        experiment.run_arm(arm, [arm.pair])
        again = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        assert again.keys() == made.keys()
        changed = [path for path in made if made[path] != again[path]]
        assert {path.parent for path in changed} == {tables}
        assert row_of(experiment, arm)["values"] == row["values"]
        clean, tuned = load_pipeline("clean").unet, experiment.load(arm).unet
        assert not torch.equal(clean.conv_in.weight, tuned.conv_in.weight)
        plan = PoisonPlan.load(tmp_path / "arms" / arm.slug / "plan.json")
        assert plan.to_dict() == arm.plan(arm.samples).to_dict()

    def test_a_stage_that_was_interrupted_is_made_anew(self, tmp_path):
        def fail(folder):
            (folder / "half").write_text("x")
            raise RuntimeError("power cut")

        with pytest.raises(RuntimeError, match="power cut"):
            stage(tmp_path / "one", fail)
        assert not (tmp_path / "one").exists()
        made = stage(tmp_path / "one", lambda folder: (folder / "all").write_text("x"))
        assert sorted(path.name for path in made.iterdir()) == ["all", "seconds.json"]


METRICS = ("phi_image", "phi_text", "cti")


@pytest.fixture(params=["paper_grid", "what_decides"])
def name(request):
    return request.param


@pytest.fixture
def rows(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


class TestCommittedResults:
    """What stands in the docs is what the tables hold, and what a metric must satisfy."""

    def test_metrics_follow_from_the_coalition_values(self, rows):
        for row in rows:
            none, image, text, both = (
                row["values"][name] for name in ("none", "image", "text", "image+text")
            )
            expected = {
                "phi_image": (image - none + both - text) / 2,
                "phi_text": (text - none + both - image) / 2,
                "cti": both - image - text + none,
            }
            for metric in METRICS:
                assert row[metric]["value"] == pytest.approx(expected[metric], abs=1e-12)
                difference = row[metric]["value"] - row["control"][metric]["value"]
                assert row["difference"][metric]["value"] == pytest.approx(difference, abs=1e-12)

    def test_intervals_hold_their_estimates(self, rows):
        for row in rows:
            shown = [row[metric] for metric in METRICS] + list(row["difference"].values())
            shown += [*row["success"].values(), row["quality"]]
            for estimate in shown:
                assert estimate["low"] <= estimate["value"] <= estimate["high"]

    def test_a_cell_takes_six_minutes_at_most(self, rows):
        for row in rows:
            assert sum(row["seconds"].values()) < 360

    def test_csv_and_json_agree(self, rows, name):
        with (RESULTS / f"{name}.csv").open(newline="") as lines:
            flat = list(csv.DictReader(lines))
        assert len(flat) == len(rows)
        for line, row in zip(flat, rows, strict=True):
            expected = {key: "" if value is None else str(value) for key, value in _flat(row)}
            assert line == expected

    def test_the_grid_is_complete_and_stands_beside_what_was_published(self):
        rows = json.loads((RESULTS / "paper_grid.json").read_text())
        keys = [(row["pair"], row["protocol"], row["ratio"], row["seed"]) for row in rows]
        assert keys == [(a.pair, a.protocol, a.ratio, a.seed) for a in paper_grid.cells()]
        assert {row["n"] for row in rows} == {64}
        published = {
            (row["pair"], row["protocol"]): tuple(row["published"].values())
            for row in rows
            if row["ratio"] == 0.05
        }
        assert published == paper_table.PUBLISHED
        assert {row["published"]["cti"] for row in rows if row["ratio"] != 0.05} == {None}

    def test_the_tables_of_the_grid_are_of_its_rows(self):
        rows = json.loads((RESULTS / "paper_grid.json").read_text())
        tex = (RESULTS / "paper_grid.tex").read_text()
        assert tex == paper_grid.latex(rows)
        shown = (RESULTS / "paper_grid.md").read_text()
        # all but the first lines, which name the machine
        assert shown.split("###", 1)[1] == paper_grid.markdown(rows).split("###", 1)[1]

    def test_the_tables_of_the_page_are_of_its_rows(self):
        rows = json.loads((RESULTS / "what_decides.json").read_text())
        shown = (RESULTS / "what_decides.md").read_text()
        # all but the first lines, which name the machine
        assert shown.split("\n\n", 1)[1] == what_decides.markdown(rows).split("\n\n", 1)[1]

    def test_the_four_kinds_of_backdoor_are_among_the_arms(self):
        rows = json.loads((RESULTS / "what_decides.json").read_text())
        by_change = {row["changed"]: row for row in rows if row["seed"] == 0}

        def difference(changed, metric, end):
            return by_change[changed]["difference"][metric][end]

        assert difference("word last", "phi_image", "low") > 1.5
        assert difference("word last", "phi_text", "high") < 0.4
        assert difference("box of 4 pixels", "phi_text", "low") > 1.5
        assert difference("box of 4 pixels", "phi_image", "high") < 0.2
        assert difference("OR", "cti", "high") < -1.5
        assert difference("AND with negatives", "cti", "low") > 1.5
