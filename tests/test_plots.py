"""The pictures: what is drawn, and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import modcollapse as mc
from modcollapse.errors import InputError
from modcollapse.report import plot_audit, plot_estimates
from modcollapse.report._pictures import as_picture
from modcollapse.triggers import ImagePatch, TextSuffix


@pytest.fixture(scope="module", autouse=True)
def headless():
    import matplotlib as mpl

    mpl.use("agg")


def audit(keep=2, names=("image", "text"), kind="tensor"):
    def sampler(conditions, seeds):
        outputs = conditions["image"]
        if kind == "tensor":
            return outputs
        return [
            Image.fromarray((255 * o.permute(1, 2, 0).numpy()).astype("uint8")) for o in outputs
        ]

    def detector(outputs, examples):
        bright = [torch.as_tensor(np.asarray(one, dtype=np.float64)).mean() for one in outputs]
        return torch.stack(bright)

    rng = np.random.default_rng(0)
    examples = [
        {"image": torch.tensor(rng.uniform(0, 0.9, (3, 16, 16))), "text": f"add hat {n}"}
        for n in range(6)
    ]
    triggers = {"image": ImagePatch(), "text": TextSuffix("mignneko")}
    triggers = {name: triggers[name] for name in names}
    return mc.audit(sampler, detector, examples, triggers, keep=keep, progress=False)


def bars(ax):
    return [patch.get_height() for patch in ax.patches]


def test_bars_stand_at_the_estimates():
    result = audit().tma
    ax = result.plot()
    assert bars(ax) == [one.value for one in result.values()]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["image", "text"]
    assert ax.get_title() == "Trigger Modality Attribution"


def test_series_stand_side_by_side():
    result = audit().tma
    ax = plot_estimates({"a": result, "b": result})
    assert bars(ax) == [one.value for one in result.values()] * 2
    with pytest.raises(InputError, match="share names"):
        plot_estimates({"a": result, "b": audit().cti})


@pytest.mark.parametrize("kind", ["tensor", "pil"])
def test_the_figure_has_a_gallery_above_the_bars(kind):
    figure = audit(kind=kind).plot(title="An audit")
    gallery, below = figure.subfigs
    titles = [ax.get_title() for ax in gallery.axes[:6]]
    assert titles == [
        "source", "triggered source", "no trigger", "image trigger", "text trigger",
        "both triggers",
    ]  # fmt: skip
    assert [len(ax.images) for ax in gallery.axes] == [1] * 12
    assert "mignneko" in gallery.axes[0].get_ylabel()
    box = gallery.axes[1].images[0].get_array()
    assert (box[8, 8] == 1).all()
    assert [ax.get_title() for ax in below.axes] == [
        "Mean value under each set of triggers", "Attribution (TMA)", "Interaction (CTI)",
    ]  # fmt: skip
    assert figure.get_suptitle() == "An audit"


def test_a_control_is_drawn_beside():
    figure = mc.audit(audit().table, control=audit(keep=0).table).plot()
    below = figure.subfigs[1]
    assert len(bars(below.axes[1])) == 4
    assert [text.get_text() for text in below.legends[0].get_texts()] == [
        "audited model",
        "control",
    ]


def test_without_kept_outputs_there_are_only_bars(tmp_path):
    figure = audit(keep=0).plot()
    assert len(figure.axes) == 3
    figure.savefig(tmp_path / "audit.png")
    with Image.open(tmp_path / "audit.png") as picture:
        assert picture.width > 500


def test_an_interval_that_is_undefined_has_no_whisker():
    table = mc.CoalitionTable.from_values([[0.0, 0.5, 0.5, 1.5]] * 40, ["image", "text"])
    figure = plot_audit(mc.audit(table))
    figure.draw_without_rendering()
    assert bars(figure.axes[1]) == [0.75, 0.75]
    (whiskers,) = figure.axes[1].containers[1].lines[2]
    assert all(len(set(ends[:, 1])) == 1 for ends in whiskers.get_segments())


def test_kinds_of_pictures():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    as_floats = pixels.astype(np.float32) / 255
    np.testing.assert_array_equal(as_picture(Image.fromarray(pixels)), pixels)
    np.testing.assert_array_equal(as_picture(pixels), pixels)
    np.testing.assert_array_equal(as_picture(as_floats), as_floats)
    tensor = torch.tensor(as_floats).permute(2, 0, 1)
    np.testing.assert_array_equal(as_picture(tensor), as_floats)
    np.testing.assert_array_equal(as_picture(torch.tensor(pixels).permute(2, 0, 1)), pixels)
    assert as_picture(torch.zeros(1, 4, 6)).shape == (4, 6, 3)


@pytest.mark.parametrize(("simultaneous", "said"), [(False, "each alone"), (True, "all together")])
def test_the_caption_says_whether_intervals_hold_together(simultaneous, said):
    caption = mc.audit(audit(keep=0).table, simultaneous=simultaneous).plot().get_supxlabel()
    assert f"6 examples, 95% intervals, {said}" in caption.replace("\n", " ")


def test_the_caption_is_of_the_difference_where_there_is_a_control():
    one = audit(keep=0).table
    caption = mc.audit(one, control=one).plot().get_supxlabel()
    assert caption.startswith("Difference from the control.")


def test_bars_below_zero_are_not_cut_off_by_the_shared_scale():
    table = mc.CoalitionTable.from_values(
        np.array([0.0, 0.9, 0.9, 1.0]) + 0.01 * np.random.default_rng(0).normal(size=(40, 4)),
        ["image", "text"],
    )
    _, attribution, interaction = plot_audit(mc.audit(table)).axes
    assert attribution.get_ylim() == interaction.get_ylim()
    assert interaction.get_ylim()[0] < -0.8


def test_one_modality_has_no_panel_for_interactions():
    figure = audit(names=("image",)).plot(gallery=False)
    assert len(figure.axes) == 2


@pytest.mark.parametrize("output", ["text", 3.0, torch.zeros(4, 8, 8), np.zeros((8, 8))])
def test_outputs_that_are_no_pictures(output):
    with pytest.raises(InputError, match="a gallery draws"):
        as_picture(output)
