"""The pictures of an audit: what they show, at every size, and that nothing in them collides."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest
from PIL import Image

import modcollapse as mc
from modcollapse.errors import InputError
from modcollapse.table import Kept

NAMES = ("image", "text", "mask", "audio")
LONG = (
    "source image of the scene",
    "natural-language instruction",
    "depth map from the sensor",
    "audio_condition_waveform",
)
KINDS = ("attribution", "lattice", "examples", "interaction", "running")
SMALLEST = 6.5


def table(m, kind="effect", names=NAMES, n=40):
    coalitions = np.arange(2**m)
    first, last = coalitions & 1, coalitions >> (m - 1) & 1
    if kind == "no interval":
        return mc.CoalitionTable.from_values(
            np.tile(0.3 + 0.5 * (coalitions > 0), (n, 1)), names[:m]
        )
    if kind == "all equal":
        return mc.CoalitionTable.from_values(np.tile(1.0 * first, (n, 1)), names[:m], binary=True)
    values = 0.05 + (0.8 * first - 0.3 * first * last * (m > 1)) * (kind == "effect")
    noise = 0.05 * np.random.default_rng(m).normal(size=(n, 2**m))
    return mc.CoalitionTable.from_values(values + noise, names[:m], perfect=1.0)


def audit(*args, **options):
    return mc.audit(table(*args, **options))


def draw(one, kind, **options):
    figure = getattr(one, f"plot_{kind}")(**options)
    figure.savefig(io.BytesIO())
    return figure


def texts(figure):
    """Every text that is seen, with its box in pixels."""
    figure.draw_without_rendering()
    found = []
    for text in figure.findobj(lambda one: hasattr(one, "get_fontsize") and hasattr(one, "_text")):
        if text.get_visible() and text.get_text().strip():
            found.append((text, text.get_window_extent()))
    ticks = {
        id(label)
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
    }
    shown = {
        id(label)
        for ax in figure.axes
        for axis, low_high in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim()))
        for tick in axis.get_major_ticks()
        for label in (tick.label1,)
        if min(low_high) <= tick.get_loc() <= max(low_high)
    }
    return [(t, box) for t, box in found if id(t) not in ticks or id(t) in shown]


def check_readable(figure):
    drawn = texts(figure)
    assert drawn
    for text, box in drawn:
        assert text.get_fontsize() >= SMALLEST, text.get_text()
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= figure.bbox.width + 1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.y1 <= figure.bbox.height + 1, text.get_text()
    for (one, a), (other, b) in itertools.combinations(drawn, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        # boxes hold room above and below the letters themselves
        assert wide <= 1 or high <= 0.25 * min(a.height, b.height), (
            one.get_text(),
            other.get_text(),
        )


CASES = [
    (1, "effect", NAMES, 3.35),
    (2, "none", NAMES, 6.9),
    (2, "effect", LONG, 3.35),
    (3, "no interval", NAMES, 3.35),
    (4, "effect", LONG, 3.35),
    (4, "effect", LONG, 6.9),
]


@pytest.mark.parametrize(("m", "kind", "names", "width"), CASES)
@pytest.mark.parametrize("picture", KINDS)
def test_letters_are_large_enough_inside_and_do_not_collide(picture, m, kind, names, width):
    one = audit(m, kind, names)
    if picture == "interaction" and m == 1:
        with pytest.raises(InputError, match="no interaction of a single modality"):
            draw(one, picture)
        return
    options = {"points": 4} if picture == "running" else {}
    figure = draw(one, picture, width=width, unit="CLIP shift", title="A title", **options)
    assert figure.get_figwidth() == width
    check_readable(figure)


def test_the_scale_of_an_attribution_reaches_to_a_perfect_attack():
    nothing, something = audit(2, "none"), audit(2)
    for one in (nothing, something):
        (ax,) = draw(one, "attribution").axes
        low, high = ax.get_xlim()
        assert high > one.scale.perfect > 0.8
        assert low < -one.scale.counts
    bars = [bar.get_width() for bar in draw(nothing, "attribution").axes[0].patches]
    assert bars == [*(e.value for e in nothing.tma.values()), nothing.tma.total.value]
    assert max(map(abs, bars)) < 0.1 * (high - low)  # noise does not fill the panel


def test_the_scale_follows_the_rules():
    one = mc.audit(table(2), rules=mc.Rules(effect=0.25))
    assert one.scale.counts == pytest.approx(0.25 * one.scale.perfect)
    assert one.scale.perfect == pytest.approx(1 - one.means["none"].value)
    assert one.verdict.min_effect == pytest.approx(one.scale.counts)
    assert math.isnan(audit(2, "no interval").scale.counts)


def test_without_a_scale_the_picture_says_so():
    one = audit(2, "no interval")
    for kind in ("attribution", "examples", "interaction", "running"):
        said = draw(one, kind).get_supxlabel().replace("\n", " ")
        assert "No perfect attack is declared" in said


def test_what_has_no_interval_says_so():
    said = [text.get_text() for text in draw(audit(2, "no interval"), "attribution").axes[0].texts]
    assert said == ["no interval"] * 3


def test_control_and_difference_stand_beside():
    one = mc.audit(table(2), control=table(2, "none"))
    figure = draw(one, "attribution")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-3:] == ["audited model", "control", "difference"]
    hatches = {bar.get_hatch() for bar in figure.axes[0].patches}
    assert len(hatches) == 3  # told apart without colours


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_the_lattice_has_a_node_a_coalition_and_an_edge_a_step(m):
    one = audit(m)
    (ax,) = draw(one, "lattice", width=6.9).axes
    assert len(ax.patches) == 2**m
    assert len(ax.lines) == m * 2 ** (m - 1)
    numbers = [text.get_text() for text in ax.texts]
    means = [value.value for value in one.means.values()]
    for mean in means:
        assert f"{mean:.2f}" in numbers
    steps = sorted(
        means[c | 1 << i] - means[c] for c in range(2**m) for i in range(m) if not c >> i & 1
    )
    signed = sorted(float(text) for text in numbers if text[0] in "+-" and text not in map(str, ()))
    drawn = [value for value in signed if any(abs(value - step) < 0.006 for step in steps)]
    assert len(drawn) >= len(steps)


def test_names_without_room_become_letters_with_a_key():
    key = draw(audit(4, names=LONG), "lattice").axes[0].texts[-1].get_text().replace("\n", " ")
    assert key.startswith("S: source image of the scene, N: natural-language instruction, D: depth")
    twins = mc.audit(table(4, names=("patch one", "patch two", "text", "depth")))
    key = draw(twins, "lattice").axes[0].texts[-1].get_text().replace("\n", " ")
    assert key.startswith("A: patch one, B: patch two, C: text, D: depth.")


def test_a_lattice_of_five_has_no_room():
    values = np.random.default_rng(0).random((8, 32))
    one = mc.audit(mc.CoalitionTable.from_values(values, list("abcde")))
    with pytest.raises(InputError, match="a lattice of 5 modalities has 32 nodes"):
        one.plot_lattice()


def test_every_example_is_a_point_at_its_value_and_one_height_in_every_row():
    one = audit(2)
    points = [held.get_offsets() for held in draw(one, "examples").axes[0].collections[:3:2]]
    np.testing.assert_allclose([p[:, 0] for p in points], one.tma.per_example.T)
    np.testing.assert_allclose(points[0][:, 1] + 1, points[1][:, 1])
    again = mc.audit(one.table.select(one.table.example_ids[::-1]))
    turned = draw(again, "examples").axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(turned, points[0][::-1])


def test_groups_are_drawn_where_they_are_the_unit():
    one = mc.audit(table(2).clustered([n // 4 for n in range(40)]))
    figure = draw(one, "examples")
    groups = figure.axes[0].collections[1].get_offsets()
    np.testing.assert_allclose(groups[:, 0], one.tma.per_example[:, 0].reshape(10, 4).mean(axis=1))
    assert "mean of a group" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_heat_map_has_a_cell_a_pair_and_hatches_what_is_negative():
    one = audit(3)
    (ax,) = draw(one, "interaction").axes
    said = [text.get_text() for text in ax.texts]
    assert len(said) == 2 * 3
    assert said[::2] == [f"{one.cti[pair].value:.3f}".replace("-0.000", "0.000") for pair in
                         ("image+text", "image+mask", "text+mask")]  # fmt: skip
    hatched = [patch.get_xy() for patch in ax.patches if patch.get_hatch()]
    assert hatched == [(0 - 0.48, 1 - 0.48)]  # image and mask


def test_a_running_estimate_ends_at_that_of_the_audit():
    one = audit(2)
    (ax,) = draw(one, "running").axes
    lines = {line.get_label(): line for line in ax.lines}
    for name in ("image", "text"):
        assert lines[name].get_ydata()[-1] == one.tma[name].value
        n = lines[name].get_xdata()[3]
        first = mc.tma(one.table.select(one.table.example_ids[:n]))
        assert lines[name].get_ydata()[3] == first[name].value
    styles = {lines[name].get_linestyle() for name in ("image", "text")}
    assert len(styles) == 2


@pytest.mark.parametrize("width", [3.35, 6.9])
def test_a_long_unit_stays_beside_the_panel(width):
    unit = "strict attack success (MSE < 0.02)"
    figure = draw(audit(2), "running", unit=unit, width=width, points=3)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    panel, words = ax.get_window_extent(), ax.yaxis.label.get_window_extent()
    assert words.height <= panel.height


def test_looks_are_drawn_up_to_the_one_that_stopped_the_run():
    from dataclasses import replace

    whole = table(2, n=64)
    looks = {"at": [32, 64, 128], "examples": [32, 64, 128], "of": 128, "done": 64}
    one = mc.audit(replace(whole, provenance={"looks": looks}))
    figure = draw(one, "running", points=3)
    vertical = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_xdata()[0] ==
                line.get_xdata()[-1]]  # fmt: skip
    assert vertical == [32, 64]
    assert "stopped at look 2, 64 examples" in figure.get_supxlabel().replace("\n", " ")
    band = figure.axes[0].collections[0].get_paths()[0].vertices  # wider than that of one look
    at_end = [y for x, y in band if x == 64]
    alone = mc.tma(whole)["image"]
    assert min(at_end) < alone.low
    assert max(at_end) > alone.high


class TestNames:
    def test_labels_and_unit_are_those_of_the_caller(self):
        labels = {"image": "source image", "all together": "sum"}
        figure = draw(audit(2), "attribution", labels=labels, unit="dB", title="Mine")
        ticks = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        assert ticks == ["source image", "text", "sum"]
        assert figure.axes[0].get_xlabel() == "attribution \u03c6 (dB)"
        assert figure.legends[0].get_title().get_text() == "Mine"

    def test_parts_of_a_coalition_are_renamed(self):
        figure = draw(audit(2), "interaction", labels={"image": "photo"})
        assert figure.axes[0].get_yticklabels()[0].get_text() == "photo+text"

    @pytest.mark.parametrize("picture", KINDS)
    def test_a_label_for_what_is_not_there_is_refused(self, picture):
        with pytest.raises(InputError, match=r"labels= renames 'imgae'.*did you mean 'image'"):
            draw(audit(2), picture, labels={"imgae": "photo"})

    @pytest.mark.parametrize("width", [0, 2.4, 41, math.nan])
    def test_a_width_that_no_picture_has(self, width):
        with pytest.raises(InputError, match="width"):
            audit(2).plot_lattice(width=width)

    @pytest.mark.parametrize("picture", KINDS)
    def test_hostile_names_are_only_letters(self, picture):
        options = {"points": 2} if picture == "running" else {}
        names = ("$\\frac{", "a\x1b[2Jb", "x" * 300, "_<b>&")
        for name in ("\x1b[2J$\\frac{", "x" * 300):
            draw(audit(4, names=names), picture, title=name, unit=name, **options)


class TestGallery:
    @pytest.mark.parametrize("width", [3.35, 6.9])
    @pytest.mark.parametrize("m", [1, 2, 4])
    def test_it_wraps_where_a_line_is_full(self, m, width):
        one = mc.audit(kept(m))
        figure = draw(one, "gallery", width=width)
        shown = [ax for ax in figure.findobj(lambda a: hasattr(a, "images")) if ax.images]
        assert len(shown) == 2 * (2**m + 2 * sum(name != "text" for name in NAMES[:m]))
        check_readable(figure)

    def test_some_of_it(self):
        figure = draw(mc.audit(kept(2)), "gallery", examples=1)
        assert len(figure.subfigs) == 1

    def test_nothing_was_kept(self):
        with pytest.raises(InputError, match=r"no outputs were kept.*keep=3"):
            audit(2).plot_gallery()


def kept(m):
    names = NAMES[:m]
    picture = Image.new("RGB", (16, 16), (200, 80, 40))
    one = {name: "make the dog look older" if name == "text" else picture for name in names}
    held = [Kept(n, one, one, [picture] * 2**m) for n in range(2)]
    return table(m).with_kept(held)


def test_pictures_of_a_comparison_and_of_specificity_fit_a_column():
    comparison = mc.compare(table(2), table(2, "none"))
    for width in (3.35, 6.9):
        figure = comparison.plot(width=width, title="A defence", unit="CLIP shift")
        figure.savefig(io.BytesIO())
        check_readable(figure)


def test_the_overview_shows_what_counts():
    figure = audit(2, "none").plot()
    _, attribution, _ = figure.axes
    assert attribution.get_ylim()[1] > 0.9
    assert "too small to count" in figure.get_supxlabel()
