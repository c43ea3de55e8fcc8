"""Wrong input: the error, its words, and that nothing was generated before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import modcollapse as mc
from modcollapse.errors import DetectorError, InputError, SamplerError, TriggerError
from modcollapse.triggers import ImagePatch, TextInsert, TextSuffix


def picture(size: int = 16, fill: float = 0.25) -> torch.Tensor:
    return torch.full((3, size, size), fill)


def good() -> dict:
    calls: list = []

    def sampler(conditions, seeds):
        calls.append(seeds)
        return conditions["image"]

    return {
        "calls": calls,
        "sampler": sampler,
        "detector": lambda outputs, examples: outputs.mean((1, 2, 3)),
        "examples": [{"id": f"e{n}", "image": picture(), "text": f"hat {n}"} for n in range(3)],
        "triggers": {"image": ImagePatch(), "text": TextSuffix("mignneko")},
    }


def run(setup: dict, **options):
    return mc.evaluate_coalitions(
        setup["sampler"],
        setup["detector"],
        setup["examples"],
        setup["triggers"],
        progress=False,
        **options,
    )


def refuse(setup: dict, error: type[Exception], *words: str, **options) -> None:
    """The run is refused with these words, notes included, before the sampler is called."""
    with pytest.raises(error) as caught:
        run(setup, **options)
    for word in words:
        assert word in said(caught.value)
    assert setup["calls"] == []


def said(error: BaseException) -> str:
    """What a traceback shows of an error: its message, and the notes that say where it was."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def test_the_setup_that_every_test_here_spoils_is_good():
    assert run(good()).values.shape == (3, 1, 4)


def test_missing_modality():
    setup = good()
    del setup["examples"][2]["text"]
    setup["examples"][2]["txt"] = "hat"
    refuse(setup, InputError, "'e2'", "'text'", "did you mean 'txt'?")


def test_trigger_for_a_modality_that_the_examples_do_not_have():
    setup = good()
    setup["triggers"]["audio"] = TextSuffix("beep")
    refuse(setup, InputError, "'audio'", "'image', 'text'")


def test_trigger_for_a_modality_that_the_sampler_does_not_take():
    setup = good()
    setup["sampler"].modalities = ("image", "prompt")
    refuse(setup, InputError, "'text'", "'image', 'prompt'")


@pytest.mark.parametrize("triggers", [{}, None, [ImagePatch()], {"image": "white box"}])
def test_triggers_that_are_none(triggers):
    refuse(good() | {"triggers": triggers}, InputError, "trigger")


@pytest.mark.parametrize("name", ["", "image+text", 3])
def test_modalities_that_cannot_be_labels(name):
    refuse(good() | {"triggers": {name: ImagePatch()}}, InputError, "a modality is")


def test_a_trigger_that_returns_its_input():
    setup = good()
    setup["triggers"]["text"] = lambda text: text
    refuse(setup, TriggerError, "'text'", "'e0'", "unchanged")


def test_a_trigger_that_changes_nothing_in_one_example_only():
    setup = good()
    setup["examples"][2]["image"] = picture(fill=1.0)
    refuse(setup, TriggerError, "'image'", "'e2'", "unchanged")


@pytest.mark.parametrize("kind", ["tensor", "array", "pil"])
def test_a_trigger_that_changes_its_argument(kind):
    setup = good()
    for example in setup["examples"]:
        array = np.zeros((16, 16, 3), np.uint8)
        example["image"] = {
            "tensor": picture(),
            "array": array,
            "pil": Image.fromarray(array),
        }[kind]

    def trigger(image):
        changed = image.clone() if kind == "tensor" else image.copy()
        image.putpixel((0, 0), (9, 9, 9)) if kind == "pil" else image.__setitem__(0, 9)
        return changed

    setup["triggers"]["image"] = trigger
    refuse(setup, TriggerError, "'image'", "changed its argument")


def test_a_trigger_that_is_random():
    setup = good()
    generator = np.random.default_rng(0)
    setup["triggers"]["text"] = lambda text: f"{text} {generator.integers(10**9)}"
    refuse(setup, TriggerError, "deterministic")


def test_a_trigger_that_changes_the_kind_or_size():
    setup = good()
    setup["triggers"]["image"] = lambda image: image[:, :8] + 0.1
    refuse(setup, TriggerError, "(3, 16, 16)", "(3, 8, 16)")


def test_a_trigger_that_cannot_be_applied_to_the_last_example_only():
    setup = good()
    setup["triggers"]["text"] = TextInsert("cf", before="hat")
    setup["examples"][2]["text"] = "add a beard"
    refuse(setup, TriggerError, "'e2'", "hat", "add a beard")


@pytest.mark.parametrize("examples", [[], None, 3, "text", {"image": 1}, iter([{}]), [3], [None]])
def test_examples_that_are_none(examples):
    refuse(good() | {"examples": examples}, InputError, "example")


def test_duplicate_ids():
    setup = good()
    setup["examples"][2]["id"] = "e0"
    refuse(setup, InputError, "0 and 2", "'e0'", "unique")


@pytest.mark.parametrize("example_id", [None, 1.5, True, ("a",)])
def test_ids_that_are_none(example_id):
    setup = good()
    setup["examples"][1]["id"] = example_id
    refuse(setup, InputError, "id of example 1")


def test_images_of_different_sizes():
    setup = good()
    setup["examples"][1]["image"] = picture(24)
    refuse(setup, InputError, "'e1'", "(3, 24, 24)", "(3, 16, 16)", "'e0'")


def test_a_str_in_place_of_an_image_is_no_path():
    setup = good()
    setup["examples"][1]["image"] = "face.png"
    refuse(setup, InputError, "'e1'", "got a str", "a pathlib.Path names a file")


@pytest.mark.parametrize("fill", [-0.25, 1.5, float("nan")])
def test_images_outside_their_range(fill):
    setup = good()
    setup["examples"][1]["image"] = picture(fill=fill)
    refuse(setup, InputError, "'e1'", "[0, 1]")


@pytest.mark.parametrize("name", ["batch_size", "repeats"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "8", True, None])
def test_counts_below_one_or_no_integers(name, value):
    refuse(good(), InputError, name, repr(value), **{name: value})


def test_a_batch_size_in_another_word():
    refuse(good(), InputError, """at least 1, or "auto", got 'auto-8'""", batch_size="auto-8")


@pytest.mark.parametrize(("name", "value"), [("seed", 0.5), ("seed", "0"), ("keep", -1)])
def test_other_options(name, value):
    refuse(good(), InputError, name, **{name: value})


def test_more_modalities_than_can_be_enumerated():
    names = [f"m{i}" for i in range(17)]
    setup = good()
    setup["triggers"] = dict.fromkeys(names, TextSuffix("x"))
    setup["examples"] = [dict.fromkeys(names, "a")]
    refuse(setup, InputError, "17", "16")
    with pytest.raises(InputError, match="17"):
        mc.generation_cost(1, 17)


@pytest.mark.parametrize("sampler", [None, "pipeline", 3])
def test_samplers_that_are_none(sampler):
    refuse(good() | {"sampler": sampler}, InputError, "sampler must be a callable")


@pytest.mark.parametrize("detector", [None, "clip", {}, {"clip": None}, {3: lambda o, e: o}])
def test_detectors_that_are_none(detector):
    refuse(good() | {"detector": detector}, InputError, "detector")


@pytest.mark.parametrize("bounds", [(1, 0), (0, float("inf")), (0,), "01", 5])
def test_bounds_that_are_none(bounds):
    setup = good()
    setup["detector"].bounds = bounds
    refuse(setup, InputError, "bounds")


def test_a_detector_that_checks_the_examples():
    class Wants:
        def check(self, example):
            if "reference" not in example:
                raise InputError("it needs a reference")

        def __call__(self, outputs, examples):
            return [0.0] * len(outputs)

    refuse(good() | {"detector": Wants()}, InputError, "'e0'", "Wants", "it needs a reference")


def test_an_identity_that_is_no_plain_data():
    setup = good()
    setup["detector"].identity = lambda: {"target": picture()}
    refuse(setup, InputError, "identity()", "plain data")


@pytest.mark.parametrize("kind", ["array", "pil"])
def test_a_sampler_that_writes_into_its_conditions(kind):
    """One condition serves several rows, so a change would reach the other coalitions."""
    setup = good()
    for example in setup["examples"]:
        array = np.zeros((16, 16, 3), np.uint8)
        example["image"] = array if kind == "array" else Image.fromarray(array)

    def sampler(conditions, seeds):
        for image in conditions["image"]:
            image.putpixel((0, 0), (9, 9, 9)) if kind == "pil" else image.__setitem__(0, 9)
        return [0.0] * len(seeds)

    with pytest.raises(SamplerError, match="wrote into its conditions"):
        run(setup | {"sampler": sampler, "detector": lambda outputs, examples: outputs})


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (lambda images: images[:6], "6 outputs for a batch of 8"),
        (lambda images: torch.cat([images, images]), "16 outputs for a batch of 8"),
        (lambda images: {"images": images}, "the outputs themselves"),
        (lambda images: None, "the outputs themselves"),
    ],
)
def test_a_sampler_that_returns_the_wrong_number(outputs, words):
    setup = good() | {"sampler": lambda conditions, seeds: outputs(conditions["image"])}
    with pytest.raises(SamplerError) as caught:
        run(setup)
    assert words in str(caught.value)
    assert "'e0', 'e1'" in str(caught.value)


@pytest.mark.parametrize("kind", ["tensor", "list", "arrays"])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_sampler_that_returns_non_finite_outputs(kind, poison):
    def sampler(conditions, seeds):
        images = conditions["image"].clone()
        images[6, 0, 0, 0] = poison
        if kind == "tensor":
            return images
        return [image if kind == "list" else image.numpy() for image in images]

    setup = good() | {"sampler": sampler, "detector": lambda outputs, examples: [0.0] * 8}
    with pytest.raises(SamplerError, match="not finite for example 'e1', coalition text"):
        run(setup)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([0.0] * 7, "shape (7,)"),
        (np.zeros((8, 1)), "shape (8, 1)"),
        (torch.zeros(()), "shape ()"),
        (["high"] * 8, "<U4"),
        ([None] * 8, "object"),
        ([1j] * 8, "complex128"),
        (np.ma.masked_array([1.0] * 8, [True] + [False] * 7), "masked float64 values"),
        (None, "object"),
        ([[1.0], [1.0, 2.0]] * 4, "unequal lengths"),
        (
            [0.0] * 5 + [float("nan")] * 3,
            "nan for example 'e1', coalitions image, text, image+text",
        ),
        (torch.tensor([0.0] * 7 + [float("inf")]), "inf for example 'e1'"),
    ],
)
def test_a_detector_that_returns_something_else_than_scores(scores, words):
    with pytest.raises(DetectorError) as caught:
        run(good() | {"detector": lambda outputs, examples: scores})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "score", "words"),
    [
        ({"bounds": (0, 1)}, 1.01, "bounds (0, 1)"),
        ({"bounds": (0, 1)}, -0.01, "bounds (0, 1)"),
        ({"binary": True}, 0.5, "declared binary"),
    ],
)
def test_scores_against_what_the_detector_declares(attributes, score, words):
    def detector(outputs, examples):
        return [0.0, score, *[1.0] * 6]

    for name, value in attributes.items():
        setattr(detector, name, value)
    with pytest.raises(DetectorError) as caught:
        run(good() | {"detector": detector})
    assert words in str(caught.value)
    assert "'e0', coalition image" in str(caught.value)


def test_rounding_at_the_bounds_is_no_error():
    def detector(outputs, examples):
        return [1.0 + 1e-6] * 8

    detector.bounds = (0, 1)
    assert run(good() | {"detector": detector}).values.max() > 1


class TestMetrics:
    @pytest.mark.parametrize(
        "options",
        [{"level": 95}, {"method": "bca"}, {"method": "plus-ends"}, {"rules": {"alpha": 0.01}},
         {"index": "Owen"}, {"control": "clean"}, {"batch_sise": 4}],
    )  # fmt: skip
    def test_options_are_checked_before_anything_is_generated(self, options):
        setup = good()
        four = (setup[name] for name in ("sampler", "detector", "examples", "triggers"))
        with pytest.raises((InputError, TypeError), match=next(iter(options))):
            mc.audit(*four, **options)
        assert setup["calls"] == []

    def test_mappings_that_hold_no_tables(self):
        for tables in ({}, {"clip": 3}):
            with pytest.raises(InputError, match="mapping from name to CoalitionTable"):
                mc.tma(tables)

    def test_a_table_and_a_detector(self):
        table = mc.CoalitionTable.from_values(np.eye(4), ["image", "text"])
        with pytest.raises(InputError, match=r"given a table.*and detector, seed, for measuring"):
            mc.tma(table, lambda o, e: o, seed=1)

    def test_a_sampler_alone(self):
        with pytest.raises(InputError, match=r"detector, examples, triggers must be given"):
            mc.audit(good()["sampler"])

    def test_an_option_that_does_not_exist(self):
        setup = good()
        with pytest.raises(TypeError, match="batchsize"):
            mc.tma(*(setup[name] for name in ("sampler", "detector", "examples", "triggers")),
                   batchsize=3)  # fmt: skip
        assert setup["calls"] == []

    @pytest.mark.parametrize("level", [0, 1, 95, -0.1])
    def test_levels(self, level):
        table = mc.CoalitionTable.from_values(np.eye(4), ["image", "text"])
        for metric in (mc.tma, mc.cti, mc.audit, mc.coalition_means):
            with pytest.raises(InputError, match="level"):
                metric(table, level=level)

    def test_interval_methods(self):
        table = mc.CoalitionTable.from_values(np.eye(4), ["image", "text"])
        with pytest.raises(InputError, match="bootstrap"):
            mc.tma(table, method="bootstrap")
        continuous = mc.CoalitionTable.from_values(np.eye(4) / 2, ["image", "text"])
        for metric in (mc.tma, mc.cti, mc.audit, mc.coalition_means):
            for method in ("patterns", "gaffke", "plus-ends", "betting"):
                with pytest.raises(InputError, match="needs the bounds"):
                    metric(continuous, method=method)
                assert metric(table, method=method)  # 0/1 values have theirs

    def test_interaction_of_one_modality_or_an_unknown_index(self):
        with pytest.raises(InputError, match="between 2 or more modalities"):
            mc.cti(mc.CoalitionTable.from_values([[0.0, 1.0]], ["text"]))
        pair = mc.CoalitionTable.from_values(np.eye(4), ["image", "text"])
        with pytest.raises(InputError, match="SII"):
            mc.cti(pair, index="Owen")
        with pytest.raises(InputError, match="order 3"):
            mc.cti(pair, order=3)

    @pytest.mark.parametrize("order", [0, 1, 3, -1, 2.0, True, None, "2"])
    def test_orders_that_no_interaction_has(self, order):
        setup = good()
        given = (setup[name] for name in ("sampler", "detector", "examples", "triggers"))
        table = mc.CoalitionTable.from_values(np.eye(4), ["image", "text"])
        for source in ([table], given):
            with pytest.raises(InputError, match="order"):
                mc.cti(*source, order=order)
        with pytest.raises(InputError, match="order"):
            mc.analysis.interaction(table, mc.analysis.Settings(), order)
        assert setup["calls"] == []

    @pytest.mark.parametrize("name", ["alpha", "share", "margin", "effect"])
    @pytest.mark.parametrize("value", [-0.1, 0, 1, 5, float("nan"), "0.1", None, True])
    def test_margins_of_a_verdict(self, name, value):
        with pytest.raises(InputError, match=name):
            mc.Rules(**{name: value})

    @pytest.mark.parametrize(("name", "value"), [("alpha", 0.5), ("share", 0.5), ("strict", 1)])
    def test_margins_at_their_ends(self, name, value):
        with pytest.raises(InputError, match=name):
            mc.Rules(**{name: value})

    def test_rules_that_are_none(self):
        table = mc.CoalitionTable.from_values(np.eye(4), ["image", "text"])
        with pytest.raises(TypeError, match="min_effect"):
            mc.Rules(min_effect=0.1)
        with pytest.raises(InputError, match=r"rules must be a modcollapse\.Rules"):
            mc.audit(table, rules={"alpha": 0.05})
        with pytest.raises(InputError, match="simultaneous must be True or False"):
            mc.audit(table, simultaneous="yes")


class TestAllAtOnce:
    """Every bad example of a run is told in one error, the first three in words."""

    def test_of_several_kinds(self):
        setup = good()
        setup["examples"] = [{"id": f"e{n}", "image": picture(), "text": "hat"} for n in range(9)]
        del setup["examples"][1]["text"]
        setup["examples"][3]["image"] = picture(fill=1.0)
        setup["examples"][4]["id"] = "e0"
        setup["examples"][6]["image"] = picture(32)
        setup["examples"][8]["text"] = 5
        refuse(
            setup,
            InputError,
            "5 of 9 examples cannot be used:\n- example 'e1' has no condition for the modality 't",
            "returned its input unchanged",
            "(example 'e3', trigger of 'image')",
            "examples 0 and 4 share the id 'e0'",
            "\nand 2 more",
        )

    def test_a_single_one_is_told_as_it_is(self):
        setup = good()
        setup["examples"][1]["image"] = picture(fill=1.0)
        with pytest.raises(TriggerError) as caught:
            run(setup)
        assert "cannot be used" not in str(caught.value)
        assert caught.value.__notes__ == ["example 'e1', trigger of 'image'"]

    def test_of_another_size_than_most(self):
        """What most have is the norm, and an example counts once, whatever is wrong with it."""
        setup = good()
        setup["examples"] = [
            {"id": f"e{n}", "image": picture(32 if n == 0 else 16), "text": "hat"} for n in range(4)
        ]
        setup["examples"][2]["text"] = 5
        refuse(
            setup,
            InputError,
            "2 of 4 examples cannot be used:\n- the image of example 'e0' is",
            "that of 3 others, such as example 'e1', is",
        )

    def test_what_cannot_be_read_and_what_a_detector_refuses(self):
        class Broken(list):
            def __getitem__(self, at):
                if at in (1, 2):
                    raise OSError(f"no file {at}.png")
                return super().__getitem__(at)

        class Strict:
            def check(self, example):
                if example["id"] == "e3":
                    raise DetectorError("has no reference")

            def __call__(self, outputs, examples):
                return [0.0] * len(outputs)

        setup = good()
        setup["examples"] = Broken(
            {"id": f"e{n}", "image": picture(), "text": "hat"} for n in range(4)
        )
        setup["detector"] = Strict()
        refuse(
            setup,
            InputError,
            "3 of 4 examples cannot be used:\n- OSError: no file 1.png (raised by examples[1])",
            "has no reference",
        )

    def test_all_of_many(self):
        setup = good()
        setup["examples"] = [{"image": picture(), "txt": "hat"} for n in range(500)]
        refuse(setup, InputError, "500 of 500 examples cannot be used", "and 497 more")
