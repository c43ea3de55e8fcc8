"""The pictures: what is drawn, and what cannot be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import modcollapse as mc
from modcollapse._support.views import as_picture, view_of
from modcollapse.errors import InputError
from modcollapse.report import plot_audit, plot_estimates
from modcollapse.report._gallery import Gallery
from modcollapse.triggers import EveryFrame, ImagePatch, TextSuffix


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
        "image", "triggered image", "no trigger", "image trigger", "text trigger",
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


# Outputs and conditions of every kind


LONG = (
    "Turn this photograph of a quiet harbour at dawn into a painting in the manner of the old "
    "masters with heavy clouds, three ships on the horizon and a lighthouse that glows"
)


def gallery_of(output, names=("image", "text"), **conditions):
    """The gallery of one example whose output is always the same."""
    rng = np.random.default_rng(0)
    example = {name: rng.uniform(0, 0.9, (16, 16, 3)) for name in names if name != "text"}
    example |= {"text": LONG, **conditions} if "text" in names else conditions
    triggers = {
        name: TextSuffix("mignneko") if name == "text" else ImagePatch() for name in names
    } | {name: EveryFrame(ImagePatch()) for name in conditions}
    table = mc.evaluate_coalitions(
        lambda conditions, seeds: [output] * len(seeds),
        lambda outputs, examples: [0.0] * len(outputs),
        [example],
        triggers,
        keep=1,
        progress=False,
        probe=False,
    )
    figure = mc.audit(table).plot()
    figure.draw_without_rendering()
    return figure.subfigs[0]


@pytest.mark.parametrize(
    ("output", "images", "lines", "words"),
    [
        (np.zeros((8, 8, 3)), 1, 0, 0),
        (torch.zeros(1, 8, 8), 1, 0, 0),
        (torch.zeros(5, 3, 8, 8), 1, 0, 0),
        ([np.zeros((8, 8, 3))] * 2, 1, 0, 0),
        (np.linspace(-3, 3, 50), 0, 1, 0),
        (torch.zeros(2, 400), 0, 2, 0),
        (np.eye(12), 1, 0, 0),
        ("a cat sits on a mat", 0, 0, 1),
        ({"answer": "yes"}, 0, 0, 1),
    ],
    ids=["image", "mask", "video", "frames", "vector", "sound", "map", "text", "mapping"],
)
def test_every_kind_of_output_is_drawn(output, images, lines, words):
    for ax in gallery_of(output).axes[2:]:
        assert (len(ax.images), len(ax.lines), len(ax.texts)) == (images, lines, words)


def test_of_a_video_the_first_middle_and_last_frame_are_shown():
    frames = [np.full((8, 8, 3), value) for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    (image,) = gallery_of(frames).axes[-1].images
    picture = np.asarray(image.get_array())
    assert sorted(set(np.round(picture[0, :, 0], 6))) == [0.1, 0.3, 0.5, 1.0]
    assert picture.shape[0] == 8


@pytest.mark.parametrize(
    "odd", [np.zeros((4, 8, 3)), np.zeros((8, 9, 3)), np.zeros((8, 8, 3), np.uint8)]
)
def test_frames_that_differ_are_not_left_out_in_silence(odd):
    with pytest.raises(InputError, match="videos of one size and kind of frames"):
        gallery_of([np.zeros((8, 8, 3)), odd])


def test_a_long_prompt_does_not_cover_the_figure():
    gallery = gallery_of(np.zeros((8, 8, 3)))
    label = gallery.axes[0].yaxis.label
    box = label.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= gallery.axes[0].get_window_extent().x0
    assert box.height <= gallery.bbox.height
    assert LONG.split()[-1] in label.get_text()


@pytest.mark.parametrize("text", ["yes", LONG, ""], ids=["short", "long", "empty"])
def test_rows_of_words_are_as_high_as_their_words(text):
    words, picture = view_of(text), view_of(np.zeros((8, 8, 3)))
    rows = Gallery(["a dog"] * 3, [[words, words]] * 3, ["none", "text"])
    beside = Gallery(["a dog"] * 3, [[words, picture]] * 3, ["none", "text"])
    figure = Figure(figsize=rows.size, layout="constrained")
    rows.draw(figure)
    figure.draw_without_rendering()
    for ax in figure.axes:
        cell, drawn = ax.get_window_extent().height, ax.texts[0].get_window_extent().height
        assert drawn <= cell <= drawn + 0.6 * figure.dpi  # a few lines of white
    if text != LONG:
        assert rows.size[1] < beside.size[1] / 2


@pytest.mark.parametrize(
    "names", [("text",), ("image", "text"), ("image", "mask image", "text"), ("a", "b", "c", "d")]
)
def test_there_is_a_column_for_everything_and_no_empty_one(names):
    gallery = gallery_of(np.zeros((8, 8, 3)), names)
    pictures = len(names) - ("text" in names)
    assert len(gallery.axes) == 2 * pictures + 2 ** len(names)
    assert all(ax.images for ax in gallery.axes)
    titles = [ax.title.get_window_extent() for ax in gallery.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(titles))


def test_videos_among_the_conditions_are_shown():
    video = [Image.new("RGB", (8, 8), (at, 0, 0)) for at in range(3)]
    gallery = gallery_of("seen", names=("text",), video=video)
    assert [bool(ax.images) for ax in gallery.axes] == [True, True, *[False] * 4]


def test_what_cannot_be_drawn_is_refused_before_the_rest_is_generated():
    calls = []

    def sampler(conditions, seeds):
        calls.append(len(seeds))
        return [np.full((8, 8, 3), 100.0)] * len(seeds)

    examples = [{"text": f"a {at}"} for at in range(64)]
    options = {"progress": False, "batch_size": 8, "probe": False}
    triggers = {"text": TextSuffix("mignneko")}
    with pytest.raises(InputError, match="To keep nothing for it: keep=0"):
        mc.audit(sampler, lambda o, e: [0.0] * len(o), examples, triggers, keep=2, **options)
    assert calls == [8]
    mc.audit(sampler, lambda o, e: [0.0] * len(o), examples, triggers, **options)
