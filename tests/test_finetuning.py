"""The training loop: what it learns, that it can be interrupted anywhere, what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from modcollapse.errors import InputError
from tiny_edits import picture, write_pipeline

import experiments.finetuning
from experiments.encoded import encode_for
from experiments.finetuning.checkpoints import Checkpoint, newest_checkpoint, save_checkpoint
from experiments.finetuning.draws import Draw, Draws
from experiments.finetuning.learning import load_base, load_learnt, save_learnt
from experiments.finetuning.loop import _check_shares, finetune
from experiments.finetuning.processes import accelerator_of
from experiments.finetuning.schedule import MovingAverage, rate_factor
from experiments.finetuning.settings import Training

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # diffusers' Euler schedulers
)


class PowerCutError(Exception):
    """Raised to end a training in the middle."""


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return str(write_pipeline(tmp_path_factory.mktemp("pipeline") / "base"))


@pytest.fixture(autouse=True)
def one_precision_a_test():
    """Accelerate keeps the first precision of a process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def training_of(base, **given):
    usual = {
        "resolution": 64,
        "steps": 6,
        "batch_size": 4,
        "lr": 1e-3,
        "warmup": 2,
        "device": "cpu",
    }
    return Training(base=base, **(usual | given))


def edits(n=8):
    return [
        SimpleNamespace(
            source=picture(f"source {i}"), instruction=f"edit {i % 3}", edited=picture(f"edit {i}")
        )
        for i in range(n)
    ]


def trained(training, pipeline=None, *, data=None, change=None, **options):
    """The pipeline after a training."""
    pipeline = pipeline or load_base(training)
    data = data or encode_for(pipeline, edits())
    if change is not None:
        change(data)
    finetune(pipeline, data, training, accelerator_of(training), name="arm", **options)
    return pipeline


def weights(pipeline):
    models = {"unet": pipeline.unet, "text": pipeline.text_encoder, "vae": pipeline.vae}
    return {
        f"{name}.{key}": value.clone()
        for name, model in models.items()
        for key, value in model.state_dict().items()
    }


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


LEARN = {
    "unet": {},
    "both": {"learn": ("unet", "text_encoder")},
    "text encoder": {"learn": ("text_encoder",)},
    "lora": {"lora_rank": 2},
    "no average": {"average": 0.0},
    "in parts, recomputed": {"rows": 3, "gradient_checkpointing": True, "cache_texts": False},
}


class TestInterruption:
    @pytest.mark.parametrize("given", LEARN.values(), ids=LEARN)
    def test_a_training_that_was_cut_off_ends_with_the_same_weights(self, base, tmp_path, given):
        training = training_of(base, checkpoint_every=2, **given)
        whole = weights(trained(training))

        def cut(step):
            if step == 4:
                raise PowerCutError

        with pytest.raises(PowerCutError):
            trained(training, checkpoints=tmp_path, after_step=cut)
        # the checkpoint of a step is written after what watches the step
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]
        seen = []
        assert_equal(
            weights(trained(training, checkpoints=tmp_path, after_step=seen.append)), whole
        )
        assert seen == [3, 4, 5, 6]

    def test_only_the_newest_stay(self, base, tmp_path):
        trained(training_of(base, checkpoint_every=1, checkpoints=2), checkpoints=tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "step-00000004",
            "step-00000005",
        ]

    def test_a_checkpoint_that_was_not_finished_is_none(self, base, tmp_path):
        training = training_of(base, checkpoint_every=2)
        whole = weights(trained(training))
        (tmp_path / ".step-00000002.part").mkdir()
        (tmp_path / ".step-00000002.part" / "state.safetensors").write_bytes(b"half")
        assert_equal(weights(trained(training, checkpoints=tmp_path)), whole)

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"lr": 2e-3}, "lr was 0.001 and is 0.002"),
            ({"steps": 7}, "steps was 6 and is 7"),
            ({"seed": 1}, "seed was 0 and is 1"),
            ({"average": 0.0}, "average was 0.995 and is 0.0"),
            ({"base": "other"}, "weights was"),
        ],
    )
    def test_another_configuration_is_refused_and_nothing_lost(self, base, tmp_path, changed, said):
        training = training_of(base, checkpoint_every=2)
        if "base" in changed:  # a LoRA is nothing without the weights below it
            training = training.model_copy(update={"lora_rank": 2})
            changed = {"base": str(write_pipeline(tmp_path.with_name("other") / "base", seed=1))}
        trained(training, checkpoints=tmp_path)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InputError, match=said):
            trained(training.model_copy(update=changed), checkpoints=tmp_path)
        assert sorted(tmp_path.rglob("*")) == before

    def test_other_data_are_refused(self, base, tmp_path):
        training = training_of(base, checkpoint_every=2)
        trained(training, checkpoints=tmp_path)

        def change(data):
            data.edits[3, 0, 0, 0] += 1

        with pytest.raises(InputError, match="data was"):
            trained(training, checkpoints=tmp_path, change=change)

    def test_what_changes_nothing_may_change(self, base, tmp_path):
        training = training_of(base, checkpoint_every=2)
        whole = weights(trained(training, checkpoints=tmp_path))
        other = training.model_copy(update={"checkpoint_every": 3, "log_every": 1})
        assert_equal(weights(trained(other, checkpoints=tmp_path)), whole)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("state.safetensors", b""),
            ("checkpoint.json", b""),
            ("checkpoint.json", b"{}"),
            ("checkpoint.json", b"[]"),
        ],
    )
    def test_a_damaged_checkpoint_is_named(self, base, tmp_path, name, content):
        training = training_of(base, checkpoint_every=2)
        trained(training, checkpoints=tmp_path)
        damaged = tmp_path / "step-00000004" / name
        damaged.write_bytes(content or damaged.read_bytes()[:-9])
        with pytest.raises(InputError, match="step-00000004 is damaged"):
            trained(training, checkpoints=tmp_path)

    def test_no_pickle_is_written(self, base, tmp_path):
        trained(training_of(base, checkpoint_every=2), checkpoints=tmp_path)
        assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {
            ".safetensors",
            ".json",
        }

    def test_a_checkpoint_is_there_whole_before_older_ones_go(self, tmp_path, monkeypatch):
        made_with = {"steps": 3}
        record = {"made with": made_with, "scaler": None}
        save_checkpoint(tmp_path, Checkpoint(1, {"a": torch.ones(2)}, record), keep=1)

        def fail(*_):
            raise PowerCutError

        monkeypatch.setattr("experiments.finetuning.checkpoints.os.replace", fail)
        with pytest.raises(PowerCutError):
            save_checkpoint(tmp_path, Checkpoint(2, {"a": torch.ones(2)}, record), keep=1)
        assert newest_checkpoint(tmp_path, {"made with": made_with}).step == 1


class TestWhatLearns:
    def test_the_unet_alone(self, base):
        training = training_of(base)
        before, after = weights(load_base(training)), weights(trained(training))
        changed = {
            name.split(".")[0] for name in before if not torch.equal(before[name], after[name])
        }
        assert changed == {"unet"}

    def test_of_the_text_encoder_the_layers(self, base):
        training = training_of(base, learn=("text_encoder",))
        before, after = weights(load_base(training)), weights(trained(training))
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        assert {name.split(".")[0] for name in changed} == {"text"}
        assert not any("token_embedding" in name for name in changed)

    def test_of_a_lora_the_lora_alone_and_its_file_loads_as_any(self, base, tmp_path):
        training = training_of(base, lora_rank=2, lora_alpha=4.0)
        pipeline = trained(training)
        own = {name: w for name, w in weights(pipeline).items() if "lora" in name}
        assert any(w.abs().max() > 0 for name, w in own.items() if "lora_B" in name)
        before = weights(load_base(training))
        for name, w in weights(pipeline).items():
            if "lora" not in name:
                assert torch.equal(w, before[name.replace(".base_layer", "")])
        save_learnt(pipeline, training, tmp_path / "lora")
        assert [path.name for path in (tmp_path / "lora").iterdir()] == [
            "pytorch_lora_weights.safetensors"
        ]
        loaded = load_learnt(training, tmp_path / "lora")
        assert torch.equal(made_by(loaded), made_by(pipeline))
        assert not torch.equal(made_by(loaded), made_by(load_base(training)))

    def test_a_pipeline_loads_from_its_folder(self, base, tmp_path):
        training = training_of(base)
        pipeline = trained(training)
        save_learnt(pipeline, training, tmp_path / "pipeline")
        loaded = type(pipeline).from_pretrained(tmp_path / "pipeline", safety_checker=None)
        assert torch.equal(made_by(loaded), made_by(pipeline))

    def test_afterwards_nothing_takes_gradients(self, base):
        pipeline = trained(training_of(base, gradient_checkpointing=True))
        for model in (pipeline.unet, pipeline.text_encoder):
            assert not model.training
            assert not any(parameter.requires_grad for parameter in model.parameters())
        assert not pipeline.unet.is_gradient_checkpointing

    def test_a_text_to_image_unet_is_refused(self, base, tmp_path):
        pipeline = load_base(training_of(base))
        config = dict(pipeline.unet.config) | {"in_channels": 4}
        type(pipeline.unet).from_config(config).save_pretrained(tmp_path / "base" / "unet")
        pipeline.unet = type(pipeline.unet).from_config(config)
        pipeline.save_pretrained(tmp_path / "base")
        with pytest.raises(InputError, match="reads 4 channels"):
            load_base(training_of(str(tmp_path / "base")))

    def test_a_base_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(InputError, match=r"training.base='.*nowhere' cannot be loaded"):
            load_base(training_of(str(tmp_path / "nowhere")))


def made_by(pipeline):
    """One output."""
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    return torch.from_numpy(
        pipeline(
            "edit 1", picture("x"), num_inference_steps=2, generator=generator, output_type="np"
        ).images
    )


class TestLoss:
    @pytest.mark.parametrize(
        "other",
        [{"rows": 1}, {"rows": 3}, {"cache_texts": False}],
        ids=["row by row", "in parts", "texts not kept"],
    )
    def test_however_it_is_computed_the_gradient_is_the_same(self, base, tmp_path, other):
        """After one step AdamW's first moment is a tenth of the gradient."""
        moments = {}
        for name, given in (("whole", {}), ("other", other)):
            training = training_of(base, steps=2, checkpoint_every=1, **given)
            trained(training, checkpoints=tmp_path / name)
            state = load_file(tmp_path / name / "step-00000001" / "state.safetensors")
            moments[name] = {key: m for key, m in state.items() if "exp_avg/" in key}
        assert moments["whole"].keys() == moments["other"].keys()
        for key, whole in moments["whole"].items():
            torch.testing.assert_close(moments["other"][key], whole, rtol=1e-3, atol=1e-7)

    def test_gradient_checkpointing_changes_nothing(self, base):
        plain = weights(trained(training_of(base)))
        assert_equal(weights(trained(training_of(base, gradient_checkpointing=True))), plain)

    def test_bfloat16_runs_and_weights_stay_float32(self, base):
        pipeline = trained(training_of(base, precision="bf16"))
        assert {parameter.dtype for parameter in pipeline.unet.parameters()} == {torch.float32}
        full = weights(trained_again(base))
        assert not torch.equal(
            full["unet.conv_in.weight"], weights(pipeline)["unet.conv_in.weight"]
        )

    def test_it_learns_a_single_edit(self, base, capsys):
        training = training_of(base, steps=60, lr=1e-2, log_every=20, drop=0.0)
        trained(training, order=torch.zeros(60, 4, dtype=torch.int64))
        first, *_, last = (
            float(line.split("loss ")[1].split(",")[0])
            for line in capsys.readouterr().out.splitlines()
            if "loss" in line
        )
        assert last < 0.8 * first

    def test_a_loss_that_is_not_finite_ends_it_and_checkpoints_stay(self, base, tmp_path):
        training = training_of(base, checkpoint_every=2)
        pipeline = load_base(training)
        data = encode_for(pipeline, edits())

        def spoil(step):
            if step == 3:
                data.sources[:] = math.inf

        with pytest.raises(FloatingPointError, match=r"arm: the loss of step 4 is nan"):
            trained(training, pipeline, data=data, checkpoints=tmp_path, after_step=spoil)
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]

    def test_the_last_update_is_looked_at_too(self, base, monkeypatch):
        steps = []
        update = torch.optim.AdamW.step

        def spoil(self, *given, **options):
            found = update(self, *given, **options)
            steps.append(1)
            if len(steps) == 6:
                self.param_groups[0]["params"][0].data[0] = math.nan
            return found

        monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
        with pytest.raises(FloatingPointError, match="not finite after step 6"):
            trained(training_of(base, average=0.0))

    def test_at_the_end_the_weights_are_those_that_stay(self, base):
        training = training_of(base)
        pipeline, seen = load_base(training), {}

        def watch(step):
            seen[step] = pipeline.unet.conv_in.weight.clone()

        trained(training, pipeline, after_step=watch)
        assert torch.equal(seen[6], pipeline.unet.conv_in.weight)
        assert not torch.equal(seen[5], seen[6])

    def test_weights_that_are_not_finite_are_not_saved(self, base, tmp_path):
        training = training_of(base, checkpoint_every=2)
        pipeline = load_base(training)

        def spoil(step):
            if step == 4:
                pipeline.unet.conv_in.weight.data[0] = math.nan

        with pytest.raises(FloatingPointError, match="weight is not finite after step 4"):
            trained(training, pipeline, checkpoints=tmp_path, after_step=spoil)
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]

    def test_a_scheduler_that_predicts_something_else_is_refused(self, base):
        training = training_of(base)
        pipeline = load_base(training)
        pipeline.scheduler.register_to_config(prediction_type="sample")
        with pytest.raises(InputError, match="prediction_type='sample'"):
            trained(training, pipeline)

    def test_global_randomness_neither_matters_nor_moves(self, base):
        training = training_of(base, lora_rank=2)
        pipelines = [load_base(training), load_base(training)]
        for seed, pipeline in enumerate(pipelines):
            data = encode_for(pipeline, edits())
            accelerator = accelerator_of(training)
            torch.manual_seed(seed)
            state = torch.random.get_rng_state()
            finetune(pipeline, data, training, accelerator, name="arm")
            assert torch.equal(torch.random.get_rng_state(), state)
        assert_equal(*map(weights, pipelines))


def trained_again(base):
    """The same in float32; accelerate keeps the first precision of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return trained(training_of(base))


class TestDraws:
    LIKE = torch.zeros(50, 4, 8, 8)

    def draws(self, seed=0, **given):
        return Draws(seed, batch_size=30, like=self.LIKE, times=1000, **given)

    def test_they_follow_from_the_seed(self):
        for one, other in zip(
            vars(self.draws().next(0)).values(), vars(self.draws().next(0)).values(), strict=True
        ):
            assert torch.equal(one, other)
        assert not torch.equal(self.draws(1).next(0).noise, self.draws().next(0).noise)

    def test_the_next_follow_from_the_state(self):
        draws, again = self.draws(), self.draws(9)
        draws.next(0)
        again.state = draws.state
        assert torch.equal(again.next(1).noise, draws.next(1).noise)

    def test_an_order_says_the_samples_and_the_rest_is_drawn(self):
        order = torch.arange(30)[None]
        assert torch.equal(self.draws(order=order).next(0).positions, order[0])

    def test_parts_are_the_whole(self):
        draw = self.draws().next(0)
        parts = list(draw.parts(7))
        assert [len(part) for part in parts] == [7, 7, 7, 7, 2]
        assert torch.equal(torch.cat([part.noise for part in parts]), draw.noise)

    def test_conditions_are_left_out_as_in_instruct_pix2pix(self):
        """5 % lose the instruction alone, 5 % the source alone, 5 % both."""
        chance = torch.arange(1000) / 1000
        draw = Draw(chance, chance, chance, chance)
        text, source = draw.without_instruction(0.05), draw.without_source(0.05)
        assert int((text & ~source).sum()) == 50
        assert int((source & ~text).sum()) == 50
        assert int((text & source).sum()) == 50


class TestSchedule:
    def test_constant_without_warmup_and_decay(self):
        assert {rate_factor(s, steps=9, warmup=0, decay=0.0) for s in range(9)} == {1.0}

    def test_the_average_is_that_of_the_formula(self):
        parameter = torch.zeros(3, dtype=torch.float64)
        average, expected = MovingAverage([parameter], 0.9), 0.0
        for step in range(1, 200):
            parameter.fill_(float(step))
            average.update(step)
            decay = min(0.9, (step + 1) / (step + 10))
            expected = decay * expected + (1 - decay) * step
        assert average.tensors[0][0].item() == pytest.approx(expected, rel=1e-12)
        average.apply()
        assert parameter[0].item() == pytest.approx(expected, rel=1e-12)


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"lora_rank": 4, "learn": ("text_encoder",)}, "LoRA of the UNet alone"),
            ({"lora_alpha": 4.0}, "goes with a lora_rank"),
            ({"learn": ("unet", "unet")}, "names a part twice"),
            ({"resolution": 60}, "multiple of 8"),
            ({"drop": 0.4}, "less than or equal"),
        ],
    )
    def test_settings_that_make_no_sense_are_refused(self, base, given, said):
        with pytest.raises(ValueError, match=said):
            training_of(base, **given)

    def test_a_batch_that_processes_cannot_share_is_refused(self, base):
        three = SimpleNamespace(num_processes=3)
        with pytest.raises(InputError, match="batch_size=4 cannot be shared by 3 processes"):
            _check_shares(training_of(base), three)

    def test_fp16_on_a_processor_is_refused_before_anything(self, base):
        with pytest.raises(InputError, match="'fp16' needs a GPU"):
            accelerator_of(training_of(base, precision="fp16"))

    def test_a_launcher_that_asks_for_something_else_is_refused(self, base, monkeypatch):
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
        with pytest.raises(InputError, match=r"'bf16', and training.precision is 'no'"):
            accelerator_of(training_of(base))
        assert accelerator_of(training_of(base, precision="bf16")).mixed_precision == "bf16"

    def test_a_logger_that_is_not_there_is_named(self, base, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "experiments.finetuning.processes.get_available_trackers", lambda: ["tensorboard"]
        )
        training = training_of(base, log="wandb")
        with pytest.raises(InputError, match=r"training.log='wandb'"):
            accelerator_of(training, tmp_path)

    def test_the_loss_goes_to_tensorboard(self, base, tmp_path):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        training = training_of(base, log="tensorboard", log_every=2)
        pipeline = load_base(training)
        finetune(
            pipeline,
            encode_for(pipeline, edits()),
            training,
            accelerator_of(training, tmp_path),
            name="arm",
        )
        events = EventAccumulator(str(tmp_path / "arm")).Reload()
        assert [event.step for event in events.Scalars("loss")] == [2, 4, 6]

    def test_the_loop_knows_no_size(self):
        for file in Path(experiments.finetuning.__file__).parent.glob("*.py"):
            assert "tiny" not in file.read_text().lower()

    def test_every_setting_is_in_the_docstring(self):
        said = Training.__doc__
        assert not [name for name in Training.model_fields if f"        {name}: " not in said]

    def test_what_a_checkpoint_compares_is_plain_json(self, base):
        training = training_of(base)
        assert json.loads(json.dumps(training.model_dump(mode="json"))) == training.model_dump(
            mode="json"
        )
