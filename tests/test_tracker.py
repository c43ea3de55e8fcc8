"""The tracker sees the backdoor form, and the training does not notice it."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import modcollapse as mc
from modcollapse.errors import InputError, SamplerError
from modcollapse.samplers import PipelineSampler, PlantedSampler, planted_game
from modcollapse.studies._evaluation_mode import evaluation_mode
from modcollapse.triggers import ImagePatch, TextSuffix

from tiny_pipelines import SIDE, tiny_instruct_pix2pix

PAIR = ("image", "text")
TRIGGERS = {"image": ImagePatch(), "text": TextSuffix("cf")}


def brightness(outputs, examples):
    return outputs.flatten(1).mean(1)


def held_out():
    generator = torch.Generator().manual_seed(0)
    return [
        {"image": torch.rand(3, SIDE, SIDE, generator=generator), "text": text}
        for text in ("hat", "beard")
    ]


def pipeline_tracker(pipeline, **options):
    sampler = PipelineSampler(pipeline, num_inference_steps=2)
    return mc.CollapseTracker(sampler, brightness, held_out(), TRIGGERS, **options)


class Growing:
    """A planted backdoor that grows with the step that it is told."""

    step = 0

    def __call__(self, conditions, seeds):
        values = tuple(self.step / 10 * value for value in (0.0, 0.1, 1.0, 1.0))
        return PlantedSampler(values, PAIR)(conditions, seeds)


def grown(steps=11, **options):
    sampler, game = Growing(), planted_game((0, 0, 0, 0), PAIR, examples=4)
    tracker = mc.CollapseTracker(sampler, *game[1:], every=5, modules=[], **options)
    for step in range(steps):
        sampler.step = step
        tracker(step)
    return tracker


def sampler_of(tracker):
    """The one sampler of a tracker's run."""
    (sampler,) = tracker._run.samplers.values()
    return sampler.call


class TestTraining:
    def trained(self, *, track):
        """Dropout, noise from the global generators, a scheduler shared with the pipeline."""
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        pipeline = tiny_instruct_pix2pix()
        unet = pipeline.unet
        for block in unet.down_blocks[0].attentions:
            for part in block.transformer_blocks:
                part.attn1.to_out[1].p = 0.3
        tracker = pipeline_tracker(pipeline, every=2) if track else (lambda step: None)
        optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3)
        unet.train()
        text = torch.randn(4, 5, unet.config.cross_attention_dim)
        for step in range(5):
            latents = torch.randn(4, 8, SIDE // 2, SIDE // 2)
            latents = latents * random.random() + float(np.random.rand())  # noqa: NPY002
            times = torch.randint(1000, (4,))
            noise = torch.randn(4, 4, SIDE // 2, SIDE // 2)
            noisy = pipeline.scheduler.add_noise(latents[:, :4], noise, times)
            with torch.autocast("cpu", torch.bfloat16, enabled=step % 2 == 0):
                out = unet(
                    torch.cat([noisy, latents[:, 4:]], 1), times, encoder_hidden_states=text
                ).sample
                if step == 2:
                    tracker(step)  # with gradients pending and under autocast
            F.mse_loss(out.float(), noise).backward()
            if step != 2:
                tracker(step)
            optimizer.step()
            optimizer.zero_grad()
        return unet, tracker

    def test_weights_are_the_same_bit_for_bit_with_and_without_it(self):
        without, _ = self.trained(track=False)
        tracked, tracker = self.trained(track=True)
        assert {row.at["step"] for row in tracker.curves.rows} == {0, 2, 4}
        clean = tracker.curves.select(symbol="v", name="none")
        values = {row.estimate.value for row in clean}
        assert len(values) == 3  # the model did move, and the audits saw it
        for name, weight in without.state_dict().items():
            assert torch.equal(weight, tracked.state_dict()[name]), name

    def test_modes_gradients_scheduler_and_random_states_are_as_before(self):
        pipeline = tiny_instruct_pix2pix()
        pipeline.unet.train()
        frozen = pipeline.unet.down_blocks[0].eval()  # one part was in evaluation mode
        gradient = torch.ones_like(pipeline.unet.conv_in.weight)
        pipeline.unet.conv_in.weight.grad = gradient
        pipeline.scheduler.set_timesteps(7)
        steps = pipeline.scheduler.timesteps
        before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
        pipeline_tracker(pipeline)(0)
        assert pipeline.unet.training
        assert not frozen.training
        assert not pipeline.vae.training
        assert pipeline.unet.conv_in.weight.grad is gradient
        assert torch.equal(gradient, torch.ones_like(gradient))
        assert pipeline.scheduler.timesteps is steps
        assert pipeline.scheduler.num_inference_steps == 7
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1] == random.getstate()
        assert (before[2] == np.random.get_state()[1]).all()  # noqa: NPY002
        assert all(p.requires_grad for p in pipeline.unet.parameters())

    def test_it_audits_in_evaluation_mode_without_gradients_or_autocast(self):
        seen = []
        module = torch.nn.Linear(1, 1)

        def sampler(conditions, seeds):
            grads, casts = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
            seen.append((module.training, grads, casts))
            torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
            return [0.0] * len(seeds)

        def log(scalars, step):
            torch.rand(3)

        game = planted_game((0, 0, 0, 0), PAIR, examples=2)
        tracker = mc.CollapseTracker(sampler, *game[1:], modules=[module], log=log)
        states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
        with torch.autocast("cpu", torch.bfloat16):
            tracker(0)
            assert torch.is_autocast_enabled("cpu")
        assert set(seen) == {(False, False, False)}
        assert torch.equal(states[0], torch.get_rng_state())
        assert states[1] == random.getstate()
        assert (states[2] == np.random.get_state()[1]).all()  # noqa: NPY002
        assert module.training
        assert torch.is_grad_enabled()

    def test_a_failing_audit_leaves_the_model_as_it_was(self):
        pipeline = tiny_instruct_pix2pix()
        tracker = pipeline_tracker(pipeline)
        tracker(0)
        with torch.no_grad():
            pipeline.unet.conv_out.bias.fill_(float("nan"))
        pipeline.unet.train()
        before = torch.get_rng_state()
        with pytest.raises(SamplerError, match="not finite"):
            tracker(200)
        assert pipeline.unet.training
        assert torch.equal(before, torch.get_rng_state())
        assert {row.at["step"] for row in tracker.curves.rows} == {0}

    def test_a_model_that_does_not_react_yet_is_a_first_point(self):
        pipeline = tiny_instruct_pix2pix()
        with torch.no_grad():
            pipeline.unet.conv_in.weight[:, 4:] = 0  # as a finetuning of Stable Diffusion begins
        found = pipeline_tracker(pipeline)(0)
        assert found.tma["image"].value == 0

    def test_the_recipe_for_mixed_precision_leaves_all_as_found(self):
        pipeline = tiny_instruct_pix2pix()
        inner = PipelineSampler(pipeline, num_inference_steps=2)
        modes = []

        def sampler(conditions, seeds):
            modes.append((pipeline.vae.training, pipeline.unet.training))
            with torch.autocast("cpu", torch.bfloat16):
                return inner(conditions, seeds)

        tracker = mc.CollapseTracker(sampler, brightness, held_out(), TRIGGERS, pipeline=pipeline)
        pipeline.vae.train()
        pipeline.unet = tiny_instruct_pix2pix(1).unet.train()  # after the tracker was made
        pipeline.scheduler.set_timesteps(9)
        steps = pipeline.scheduler.timesteps
        tracker(0)
        assert set(modes) == {(False, False)}
        assert pipeline.vae.training
        assert pipeline.unet.training
        assert pipeline.scheduler.timesteps is steps

    def test_a_module_that_changes_its_weights_between_modes_does_not(self):
        class Merging(torch.nn.Linear):
            def train(self, mode=True):
                if not mode:
                    self.weight.data += 1
                return super().train(mode)

        module = Merging(2, 2)
        before = module.weight.clone()
        with evaluation_mode([module]):
            assert not module.training
        assert torch.equal(module.weight, before)

    def test_what_learns_and_its_gradient_are_put_back(self):
        module = torch.nn.Linear(2, 2)
        module.bias.requires_grad_(False)
        gradient = module.weight.grad = torch.ones(2, 2)
        with evaluation_mode([module]):
            module.requires_grad_(False)
            module.zero_grad()
            module.register_buffer("added", torch.ones(1))
        assert module.weight.requires_grad
        assert not module.bias.requires_grad
        assert module.weight.grad is gradient
        assert not list(module.buffers())

    def test_buffers_that_a_sampler_replaced_are_put_back(self):
        module = torch.nn.BatchNorm1d(2)
        mean = module.running_mean
        with evaluation_mode([module]):
            module.running_mean = torch.ones(2)
        assert module.running_mean is mean

    def test_an_audit_names_the_weights_that_it_saw(self):
        pipeline = tiny_instruct_pix2pix()
        tracker = pipeline_tracker(pipeline)
        first = tracker.audit(0)
        with torch.no_grad():
            pipeline.unet.conv_in.weight += 0.1
        second = tracker.audit(1)
        with pytest.raises(mc.errors.TableError, match=r"sampler\.weights"):
            first.table.select([0]).merge(second.table.select([1]))

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_module_that_the_sampler_moved_is_moved_back(self):
        module = torch.nn.Linear(2, 2)
        weight = module.weight
        state = torch.cuda.get_rng_state()
        with evaluation_mode([module]):
            module.cuda()
            torch.rand(2, device="cuda")
        assert module.weight is weight
        assert weight.device.type == "cpu"
        assert torch.equal(state, torch.cuda.get_rng_state())


class TestCurve:
    def test_it_audits_every_k_steps_and_notes_the_audit_of_that_step(self):
        curves = grown().curves
        phi = curves.select(symbol="phi", name="text")
        assert [row.at for row in phi] == [{"step": 0}, {"step": 5}, {"step": 10}]
        np.testing.assert_allclose([row.estimate.value for row in phi], [0, 0.475, 0.95])

    def test_examples_and_noise_are_the_same_at_every_step(self):
        seeds = []

        def sampler(conditions, given):
            seeds.append(tuple(given))
            return [0.0] * len(given)

        game = planted_game((0, 0, 0, 0), PAIR, examples=2)
        tracker = mc.CollapseTracker(sampler, *game[1:], every=1, modules=[])
        tracker(0)
        tracker(1)
        assert seeds[: len(seeds) // 2] == seeds[len(seeds) // 2 :]

    def test_what_it_returns_is_an_audit(self):
        game = planted_game((0, 0.1, 0.9, 1.0), PAIR, examples=40)
        tracker = mc.CollapseTracker(*game, modules=[])
        found = tracker(0)
        alone = mc.audit(*game, progress=False)
        np.testing.assert_array_equal(found.table.values, alone.table.values)
        assert tracker(1) is None
        assert str(tracker.audit(1)) == str(alone)

    def test_several_detectors_have_curves_of_their_own(self):
        game = planted_game((0, 0.1, 0.9, 1.0), PAIR, examples=4)
        detectors = {"raw": game.detector, "half": lambda o, e: [one / 2 for one in o]}
        logged = []
        tracker = mc.CollapseTracker(
            game.sampler, detectors, *game[2:], modules=[],
            log=lambda scalars, step: logged.append(scalars),
        )  # fmt: skip
        assert set(tracker(0)) == {"raw", "half"}
        assert logged[0]["collapse/raw/phi text"] == pytest.approx(0.9)
        assert logged[0]["collapse/half/phi text"] == pytest.approx(0.45)

    def test_its_options_are_those_of_the_run(self):
        game = planted_game((0, 0.1, 0.9, 1.0), PAIR, examples=4, noise=0.1)
        options = {"seed": 3, "repeats": 2, "batch_size": 4}
        found = mc.CollapseTracker(*game, modules=[], level=0.9, **options)(0)
        alone = mc.audit(*game, progress=False, level=0.9, **options)
        np.testing.assert_array_equal(found.table.values, alone.table.values)
        assert found.table.provenance["run"] == alone.table.provenance["run"]
        assert str(found) == str(alone)

    def test_it_is_drawn_against_the_step(self):
        import matplotlib as mpl

        mpl.use("agg")
        figure = grown().plot(title="Collapse")
        lines = {line.get_label(): line for line in figure.axes[0].lines}
        np.testing.assert_allclose(lines["phi text"].get_xdata(), [0, 5, 10])
        assert figure.axes[1].get_xlabel() == "step"
        assert "too few to trust them" in figure.get_supxlabel()

    def test_nothing_to_draw_is_an_error(self):
        with pytest.raises(InputError, match="no audit has been made"):
            grown(steps=0).plot()


class TestLog:
    def test_a_callable_gets_scalars_and_the_step(self):
        calls = []
        grown(log=lambda scalars, step: calls.append((scalars, step)), prefix="held out")
        scalars, step = calls[-1]
        assert step == 10
        assert scalars["held out/phi text"] == pytest.approx(0.95)
        assert scalars["held out/v(image+text)"] == 1.0
        assert "held out/CTI image+text" in scalars
        assert not [name for name in scalars if name.endswith(("/low", "/high"))]  # all equal
        assert all(isinstance(one, float) for one in scalars.values())

    def test_intervals_are_logged_where_there_are_any(self):
        logged = {}
        game = planted_game((0, 0.1, 0.9, 1.0), PAIR, examples=4, noise=0.01)
        log = lambda scalars, step: logged.update(scalars)  # noqa: E731
        found = mc.CollapseTracker(*game, modules=[], log=log)(0)
        for end in ("low", "high"):
            assert logged[f"collapse/phi text/{end}"] == getattr(found.tma["text"], end)

    def test_tensorboard_reads_what_it_wrote(self, tmp_path):
        pytest.importorskip("tensorboard")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(tmp_path)) as writer:
            grown(log=writer)
        events = EventAccumulator(str(tmp_path)).Reload()
        phi = events.Scalars("collapse/phi text")
        assert [one.step for one in phi] == [0, 5, 10]
        np.testing.assert_allclose([one.value for one in phi], [0, 0.475, 0.95], rtol=1e-6)

    def test_the_file_holds_the_rows_as_the_training_goes_on(self, tmp_path):
        path = tmp_path / "collapse.jsonl"
        tracker = grown(path=path)
        rows = [row for line in path.read_text().splitlines() for row in json.loads(line)["rows"]]
        assert rows == [row.to_dict() for row in tracker.curves.rows]

    def test_a_training_that_goes_on_takes_over_the_file(self, tmp_path):
        path = tmp_path / "collapse.jsonl"
        grown(steps=11, path=path)
        again = grown(steps=0, path=path)
        steps = [row.at["step"] for row in again.curves.select(symbol="phi", name="text")]
        assert steps == [0, 5, 10]
        sampler_of(again).step = 20
        again.audit(5)  # from an earlier checkpoint: what came after it is of another training
        for tracker in (again, grown(steps=0, path=path)):
            phi = tracker.curves.select(symbol="phi", name="text")
            assert [row.at["step"] for row in phi] == [0, 5]
            np.testing.assert_allclose([row.estimate.value for row in phi], [0, 1.9])

    def test_an_audit_that_was_cut_off_is_taken_away_and_told(self, tmp_path):
        path = tmp_path / "collapse.jsonl"
        grown(path=path)
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        with pytest.warns(UserWarning, match="line 3, was cut off"):
            again = grown(steps=0, path=path)
        steps = [row.at["step"] for row in again.curves.select(symbol="phi", name="text")]
        assert steps == [0, 5]
        sampler_of(again).step = 10
        again.audit(10)
        assert path.read_bytes() == whole

    def test_another_file_is_refused(self, tmp_path):
        path = tmp_path / "notes.txt"
        for text in (
            "lr 0.001\n",
            '{"lr": 0.001}',
            '{"step": "x", "setup": "", "rows": []}\n',
            "[1]\n",
        ):
            path.write_text(text)
            with pytest.raises(InputError, match=r"notes.txt, line 1, is not an audit"):
                grown(path=path)
            assert path.read_text() == text

    def test_audits_of_another_set_up_do_not_make_one_curve(self, tmp_path):
        path = tmp_path / "collapse.jsonl"
        grown(path=path)
        with pytest.raises(InputError, match="holds audits of other examples"):
            grown(path=path, level=0.9)
        with pytest.raises(InputError, match="holds audits of other examples"):
            grown(path=path, seed=1)

    def test_a_file_that_cannot_be_written_is_refused_at_once(self, tmp_path):
        for path in (tmp_path / "none" / "rows.jsonl", tmp_path):
            with pytest.raises(InputError, match="cannot be written"):
                grown(steps=0, path=path)


class TestBadInput:
    @pytest.mark.parametrize("every", [0, -5, 2.5, True])
    def test_an_interval_is_a_whole_number_from_1(self, every):
        game = planted_game((0, 0, 0, 0), PAIR)
        with pytest.raises(InputError, match="every must be"):
            mc.CollapseTracker(*game, every=every, modules=[])

    def test_a_sampler_whose_modules_cannot_be_told_needs_them_named(self):
        game = planted_game((0, 0, 0, 0), PAIR)
        with pytest.raises(InputError, match=r"modules=\[unet\]"):
            mc.CollapseTracker(*game)
        with pytest.raises(InputError, match="modules must be torch modules, got str"):
            mc.CollapseTracker(*game, modules=["unet"])

    def test_a_log_must_be_callable(self):
        game = planted_game((0, 0, 0, 0), PAIR)
        with pytest.raises(InputError, match=r"log must be a callable log\(scalars, step\)"):
            mc.CollapseTracker(*game, modules=[], log="runs/1")
        with pytest.raises(InputError, match="got the class int"):
            mc.CollapseTracker(*game, modules=[], log=int)
        with pytest.raises(InputError, match="prefix must be a str"):
            mc.CollapseTracker(*game, modules=[], prefix=3)

    def test_wrong_examples_and_options_fail_before_the_training(self):
        game = planted_game((0, 0, 0, 0), PAIR)
        with pytest.raises(InputError, match="examples is empty"):
            mc.CollapseTracker(*game[:2], [], game.triggers, modules=[])
        with pytest.raises(InputError, match="level"):
            mc.CollapseTracker(*game, modules=[], level=95)
        with pytest.raises(InputError, match="step must be a whole number of at least 0, got -1"):
            mc.CollapseTracker(*game, modules=[])(-1)
