"""A run beside others: checked once, read once, whatever is measured in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

import modcollapse as mc
from modcollapse._support import weights
from modcollapse.errors import SamplerError, TableError
from modcollapse.measure import measure, prepare
from modcollapse.samplers import PipelineSampler, PlantedSampler, planted_game
from modcollapse.triggers import ImagePatch, TextSuffix

from tiny_pipelines import SIDE, tiny_instruct_pix2pix

PAIR = ("image", "text")
VALUES = (0.0, 0.1, 0.9, 1.0)
GAME = planted_game(VALUES, PAIR, examples=5)
TRIGGERS = {"image": ImagePatch(), "text": TextSuffix("cf")}


class Counted(Sequence):
    """Examples that count how often each of them is read."""

    def __init__(self, examples):
        self.examples, self.reads = examples, Counter()

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, position):
        self.reads[position] += 1
        return self.examples[position]


class Probing:
    """A planted backdoor that looks at two examples first, and counts what it generates."""

    def __init__(self, scale=1.0, probed=None, calls=None):
        self.scale = scale
        self.probed, self.calls = ([] if kept is None else kept for kept in (probed, calls))

    def with_options(self, **options):
        return Probing(**{**vars(self), **options})

    def probe(self, conditions, seeds):
        self.probed.append({modality: list(rows) for modality, rows in conditions.items()})
        return [f"probed at {self.scale}"]

    def __call__(self, conditions, seeds):
        self.calls.append(len(seeds))
        values = tuple(self.scale * value for value in VALUES)
        return PlantedSampler(values, PAIR)(conditions, seeds)


def scaled(conditions, seeds, *, scale=1.0):
    return PlantedSampler(tuple(scale * value for value in VALUES), PAIR)(conditions, seeds)


def pictures(n):
    generator = torch.Generator().manual_seed(0)
    return [
        {"image": torch.rand(3, SIDE, SIDE, generator=generator), "text": f"hat {position}"}
        for position in range(n)
    ]


def brightness(outputs, examples):
    return outputs.flatten(1).mean(1)


def evaluated(sampler, control, examples, **run):
    return mc.evaluate_coalitions(sampler, GAME.detector, examples, GAME.triggers, **run)


def audited(sampler, control, examples, **run):
    return mc.audit(sampler, GAME.detector, examples, GAME.triggers, control=control, **run)


def swept(sampler, control, examples, **run):
    options = {"scale": [1.0, 2.0, 3.0]}
    return mc.sweep(
        sampler,
        GAME.detector,
        examples,
        GAME.triggers,
        options=options,
        control=control,
        **run,
    )


@pytest.mark.parametrize("call", [evaluated, audited, swept])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("make", [Probing, lambda: scaled], ids=["probing", "plain"])
def test_an_example_is_read_once_to_be_checked_and_once_to_be_used(call, batch_size, repeats, make):
    examples = Counted(GAME.examples)
    call(make(), make(), examples, batch_size=batch_size, repeats=repeats, progress=False)
    assert examples.reads == dict.fromkeys(range(5), 2)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_pipeline_and_its_control_read_an_example_twice(batch_size):
    model, control = (
        PipelineSampler(tiny_instruct_pix2pix(seed), num_inference_steps=1) for seed in (0, 1)
    )
    examples = Counted(pictures(3))
    run = {"batch_size": batch_size, "progress": False}
    mc.audit(model, brightness, examples, TRIGGERS, control=control, **run)
    assert examples.reads == dict.fromkeys(range(3), 2)
    examples = Counted(pictures(3))
    options = {"guidance_scale": [2.0, 4.0, 6.0]}
    mc.sweep(model, brightness, examples, TRIGGERS, options=options, control=control, **run)
    assert examples.reads == dict.fromkeys(range(3), 2)


def test_a_tracker_reads_an_example_once_to_check_it_and_once_an_audit():
    examples = Counted(GAME.examples)
    tracker = mc.CollapseTracker(
        scaled, GAME.detector, examples, GAME.triggers, every=1, modules=[]
    )
    assert examples.reads == dict.fromkeys(range(5), 1)
    tracker(0)
    tracker(1)
    assert examples.reads == dict.fromkeys(range(5), 3)


def count_digests(monkeypatch):
    """Return a list that grows by the names of a module's weights when they are digested."""
    digested = []
    digest = weights._digest_of_state

    def counting(state):
        digested.append(tuple(state))
        return digest(state)

    monkeypatch.setattr(weights, "_digest_of_state", counting)
    return digested


def weights_of(pipeline):
    parts = pipeline.components.values()
    return sorted(tuple(part.state_dict()) for part in parts if hasattr(part, "state_dict"))


def test_the_weights_of_a_sweep_are_read_once(monkeypatch):
    pipeline = tiny_instruct_pix2pix()
    sampler = PipelineSampler(pipeline, num_inference_steps=1, probe=False)
    digested = count_digests(monkeypatch)
    found = mc.sweep(
        sampler,
        brightness,
        pictures(2),
        TRIGGERS,
        options={"guidance_scale": [2.0, 4.0, 6.0]},
        progress=False,
    )
    assert len(digested) == 3  # the VAE, the text encoder and the UNet
    assert sorted(digested) == weights_of(pipeline)
    alone = sampler.identity()["weights"]
    for audit in found.audits:
        assert audit.table.provenance["run"]["sampler"]["weights"] == alone


def test_what_a_model_shares_with_its_control_is_read_once(monkeypatch):
    model, clean = tiny_instruct_pix2pix(0), tiny_instruct_pix2pix(1)
    clean.vae, clean.text_encoder = model.vae, model.text_encoder
    samplers = [
        PipelineSampler(pipeline, num_inference_steps=1, probe=False) for pipeline in (model, clean)
    ]
    digested = count_digests(monkeypatch)
    found = mc.audit(
        samplers[0], brightness, pictures(2), TRIGGERS, control=samplers[1], progress=False
    )
    unet = tuple(model.unet.state_dict())
    assert sorted(digested) == sorted([*weights_of(model), unet])
    seen = [audit.table.provenance["run"]["sampler"]["weights"] for audit in (found, found.control)]
    assert seen == [sampler.identity()["weights"] for sampler in samplers]
    assert seen[0] != seen[1]


def test_each_audit_reads_the_weights_anew(monkeypatch):
    pipeline = tiny_instruct_pix2pix()
    sampler = PipelineSampler(pipeline, num_inference_steps=1, probe=False)
    digested = count_digests(monkeypatch)
    seen = []
    for _ in range(2):
        table = mc.evaluate_coalitions(sampler, brightness, pictures(1), TRIGGERS, progress=False)
        seen.append(table.provenance["run"]["sampler"]["weights"])
        with torch.no_grad():
            pipeline.unet.conv_in.weight += 0.1
    assert len(digested) == 6
    assert seen[0] != seen[1]


def test_a_run_measures_each_sampler_under_each_detector():
    detectors = {"raw": GAME.detector, "half": lambda o, e: [value / 2 for value in o]}
    samplers = {"weak": Probing(0.5), "strong": Probing(2.0)}
    options = {"seed": 3, "repeats": 2, "batch_size": 3, "keep": 1, "progress": False}
    run = prepare(samplers, detectors, GAME.examples, GAME.triggers, **options)
    assert [sampler.calls for sampler in samplers.values()] == [[], []]
    tables = measure(run)
    assert list(tables) == list(samplers)
    for label, sampler in samplers.items():
        alone = mc.evaluate_coalitions(
            Probing(sampler.scale), detectors, GAME.examples, GAME.triggers, **options
        )
        assert list(tables[label]) == list(detectors)
        for name, table in tables[label].items():
            np.testing.assert_array_equal(table.values, alone[name].values)
            np.testing.assert_array_equal(table.seeds, alone[name].seeds)
            assert table.provenance == alone[name].provenance
            assert [kept.outputs for kept in table.kept] == [
                kept.outputs for kept in alone[name].kept
            ]
        assert len(sampler.probed) == 1
        assert set(sampler.calls) == {3}  # always a full batch
        assert sum(sampler.calls) == 42  # 40 generations, and 2 that fill up the last batch


def test_a_run_may_be_carried_out_without_a_probe():
    sampler = Probing()
    table = mc.evaluate_coalitions(
        sampler, GAME.detector, GAME.examples, GAME.triggers, progress=False, probe=False
    )
    assert sampler.probed == []
    (note,) = table.provenance["notes"]
    assert "probe=False" in note


def test_each_sampler_is_given_the_conditions_that_it_takes():
    given = {}

    def taking(*modalities):
        def sampler(conditions, seeds):
            given[modalities] = set(conditions)
            return [0.0] * len(seeds)

        sampler.modalities = modalities
        return sampler

    examples = [{"image": 0, "text": "a", "mask": 1, "depth": 2}]
    samplers = {"a": taking("text", "mask"), "b": taking("depth", "text", "image")}
    triggers = {"text": lambda text: text + "!"}
    run = prepare(samplers, lambda o, e: o, examples, triggers, progress=False)
    assert set(run.needed) == {"text", "mask", "depth", "image"}
    measure(run)
    assert all(conditions == set(modalities) for modalities, conditions in given.items())
    assert len(given) == 2


def test_every_sampler_probes_before_one_generates():
    class Broken(Probing):
        def probe(self, conditions, seeds):
            raise SamplerError("it ignores its image")

    model = Probing()
    with pytest.raises(SamplerError, match="it ignores its image") as caught:
        audited(model, Broken(), GAME.examples, progress=False)
    assert caught.value.__notes__ == ["of the control"]
    assert len(model.probed) == 1
    assert model.calls == []


def test_an_error_says_whose_it_is():
    def broken(conditions, seeds):
        return [float("nan")] * len(seeds)

    for model, control, note in [
        (broken, scaled, "of the audited model"),
        (scaled, broken, "of the control"),
    ]:
        with pytest.raises(SamplerError, match="not finite") as caught:
            audited(model, control, GAME.examples, progress=False)
        assert caught.value.__notes__ == [note]
    with pytest.raises(SamplerError, match="not finite") as caught:
        evaluated(broken, None, GAME.examples, progress=False)
    assert not hasattr(caught.value, "__notes__")


class TestShared:
    """What one sampler does with its batch is no business of the others."""

    @staticmethod
    def examples(as_tensors):
        values = np.random.default_rng(0).uniform(size=(6, 3))
        return [
            {"image": torch.tensor(row) if as_tensors else float(row[0]), "text": f"hat {n}"}
            for n, row in enumerate(values)
        ]

    @pytest.mark.parametrize("as_tensors", [True, False])
    def test_a_model_that_writes_into_its_batch_leaves_that_of_its_control(self, as_tensors):
        def honest(conditions, seeds):
            pairs = zip(conditions["image"], conditions["text"], strict=True)
            return [float(np.sum(np.asarray(i))) + t.endswith("cf") for i, t in pairs]

        def careless(conditions, seeds):
            outputs = honest(conditions, seeds)
            if isinstance(conditions["image"], torch.Tensor):
                conditions["image"].mul_(2)
            for row in range(len(seeds)):
                conditions["text"][row] = "changed"
            return outputs

        triggers = {"image": lambda image: image + 1, "text": lambda text: text + " cf"}
        examples = self.examples(as_tensors)
        arguments = (lambda outputs, examples: outputs, examples, triggers)
        alone = mc.evaluate_coalitions(honest, *arguments, batch_size=4, progress=False)
        audit = mc.audit(careless, *arguments, control=honest, batch_size=4, progress=False)
        np.testing.assert_array_equal(audit.table.values, alone.values)
        np.testing.assert_array_equal(audit.control.table.values, alone.values)

    @pytest.mark.parametrize("option", [{"seed": 1}, {"batch_size": 4}, {"repeats": 2}])
    def test_a_control_of_another_run_is_refused_before_anything_is_generated(self, option):
        game = planted_game([0.0, 0.1, 0.9, 1.0], PAIR, examples=6)
        control = mc.evaluate_coalitions(*game, progress=False)
        calls = []

        def sampler(conditions, seeds):
            calls.append(seeds)
            return game.sampler(conditions, seeds)

        with pytest.raises(TableError, match="two runs"):
            mc.audit(sampler, *game[1:], control=control, progress=False, **option)
        others = [{**example, "text": "another"} for example in game.examples]
        with pytest.raises(TableError, match="holds something else"):
            mc.audit(sampler, game.detector, others, game.triggers, control=control, progress=False)
        with pytest.raises(TableError, match="6 there"):
            mc.audit(
                sampler, game.detector, others[:3], game.triggers, control=control, progress=False
            )
        assert calls == []
