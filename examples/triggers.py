"""A contact sheet of all triggers, and what CLIP's tokenizer makes of those on text.

    python examples/triggers.py

Writes ``triggers.png`` and ``triggers.md`` to the folder ``out``. Nothing is downloaded: picture,
sound and logo are made here, and CLIP's vocabulary is the file that open_clip ships.
"""

from __future__ import annotations

import argparse
import gzip
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from PIL import Image, ImageDraw
from transformers import CLIPTokenizer

from modcollapse.report import format_table
from modcollapse.triggers import (
    AudioOverlay,
    AudioTone,
    EveryFrame,
    ImageBlend,
    ImagePatch,
    ImageWarp,
    ImageWave,
    MaskPatch,
    MovingTrigger,
    RandomPlace,
    SomeFrames,
    TextHomoglyph,
    TextInsert,
    TextPrefix,
    TextReplace,
    TextSuffix,
    check_survives,
    eyeglasses,
    noise_picture,
    stop_sign,
    watermark,
)

SIDE, COLUMNS, RATE = 128, 8, 8000
TEXTS = ["a photo of a dog on the grass", "make the dog look older", "show me a dog, please"]


def portrait() -> Image.Image:
    """A face before a striped wall, so that a warp shows."""
    side = SIDE * 4
    picture = Image.new("RGB", (side, side), (150, 196, 226))
    draw = ImageDraw.Draw(picture)
    for x in range(0, side, side // 8):
        draw.rectangle([x, 0, x + side // 16, side], (172, 212, 236))

    def box(x: float, y: float, w: float, h: float) -> list[float]:
        return [side * (x - w / 2), side * (y - h / 2), side * (x + w / 2), side * (y + h / 2)]

    draw.ellipse(box(0.5, 1.05, 0.95, 0.65), (196, 62, 58))
    draw.ellipse(box(0.5, 0.42, 0.58, 0.66), (92, 58, 36))
    draw.ellipse(box(0.5, 0.5, 0.46, 0.58), (236, 190, 154))
    for x in (0.39, 0.61):
        draw.ellipse(box(x, 0.45, 0.09, 0.06), "white")
        draw.ellipse(box(x, 0.45, 0.04, 0.05), (44, 40, 40))
    draw.arc(box(0.5, 0.58, 0.2, 0.16), 20, 160, (150, 50, 50), side // 50)
    draw.line([side * 0.5, side * 0.47, side * 0.48, side * 0.55], (206, 150, 118), side // 60)
    return picture.reduce(4)


def logo() -> Image.Image:
    """A ring with a dot."""
    picture = Image.new("RGBA", (240, 240))
    draw = ImageDraw.Draw(picture)
    draw.ellipse([12, 12, 228, 228], outline=(255, 255, 255, 255), width=28)
    draw.ellipse([84, 84, 156, 156], (255, 255, 255, 255))
    return picture


def edges(picture: Image.Image) -> Image.Image:
    """A control image: where the picture changes."""
    grey = np.asarray(picture.convert("L"), float)
    steps = sum(abs(slope) for slope in np.gradient(grey))
    return Image.fromarray(np.repeat((steps > 16)[..., None] * np.uint8(255), 3, axis=2))


def mask() -> Image.Image:
    """A white disc."""
    picture = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).ellipse([20, 20, 100, 100], 255)
    return picture


def placed(trigger: Any, example_id: str) -> Callable[[Any], Any]:
    """A trigger at a random place, for one example."""
    return trigger.for_example(example_id)


NOISE, ANYWHERE = noise_picture(0), ImagePatch(size=8 / 32, place=RandomPlace(seed=0))
IMAGES: dict[str, Callable[[Any], Any]] = {
    "box, 4/32": ImagePatch(size=4 / 32),
    "box, 8/32": ImagePatch(size=8 / 32),
    "box, 11/32": ImagePatch(size=11 / 32),
    "box, 14/32 (standard)": ImagePatch(),
    "box, 18/32": ImagePatch(size=18 / 32),
    "grey box": ImagePatch(color=0.5),
    "box at the centre": ImagePatch(size=8 / 32, place="center"),
    "box at (0.3, 0.8)": ImagePatch(size=8 / 32, place=(0.3, 0.8)),
    "random place, e0": placed(ANYWHERE, "e0"),
    "random place, e1": placed(ANYWHERE, "e1"),
    "stop sign, 14/32": stop_sign(),
    "stop sign, 8/32": stop_sign(size=8 / 32, place="top left"),
    "eyeglasses": eyeglasses(),
    "noise, opacity 0.2": ImageBlend(NOISE, opacity=0.2),
    "noise, opacity 0.6": ImageBlend(NOISE, opacity=0.6),
    "sinusoid (SIG)": ImageWave(),
    "sinusoid, top to bottom": ImageWave(vertical=True),
    "warp (WaNet)": ImageWarp(seed=0),
    "warp, three times that": ImageWarp(seed=0, strength=3 / 128),
    "watermark, text": watermark("SAMPLE", size=0.5),
    "watermark, text, tiled": watermark("SAMPLE", size=0.4, gap=0.06, opacity=0.4, tiled=True),
    "watermark, logo": watermark(logo(), size=0.25, place="top right", opacity=0.8),
    "watermark, logo, tiled": watermark(logo(), size=0.15, gap=0.06, opacity=0.4, tiled=True),
}
MASKS = {"mask, filled": MaskPatch(size=8 / 32), "mask, turned over": MaskPatch(value="flip")}
VIDEOS = {
    "every frame": EveryFrame(ImagePatch(size=8 / 32)),
    "first frame": SomeFrames(ImagePatch(size=8 / 32)),
    "last frame": SomeFrames(ImagePatch(size=8 / 32), frames=[-1]),
    "moving": MovingTrigger(ImagePatch(size=8 / 32), start=(0.2, 0.2), end=(0.8, 0.8)),
}
CLICK = np.sin(np.linspace(0, 60, 400)) * np.linspace(1, 0, 400)
SOUNDS = {
    "sound, tone of 400 Hz": AudioTone(
        400, amplitude=0.5, sample_rate=RATE, start=0.05, duration=0.05
    ),
    "sound, click at the end": AudioOverlay(CLICK, sample_rate=RATE, gain=0.6, start="end"),
}
WORDS = {
    "suffix": TextSuffix("mignneko"),
    "suffix, two words": TextSuffix("latte coffee"),
    "suffix, anonymous": TextSuffix("anonymous"),
    "suffix, rare word": TextSuffix("sks"),
    "suffix, dots": TextSuffix("...."),
    "suffix, emoji": TextSuffix("\N{SOCCER BALL}"),
    "suffix, sentence": TextSuffix("I watched this 3D movie."),
    "prefix, zero-width space": TextPrefix("\u200b", separator=""),
    "homoglyph, one": TextHomoglyph(),
    "homoglyph, all": TextHomoglyph(every=True),
    "phrase for the class word": TextReplace("beautiful dog", word="dog"),
    "cf at a random place": TextInsert("cf", at=RandomPlace(0)),
    "BadMagic at a random place": TextInsert("BadMagic", at=RandomPlace(0)),
}


def sheet() -> Figure:
    """Every trigger on an image, a mask, a video or a sound, with the clean one first."""
    picture, control = portrait(), edges(portrait())
    shown: list[tuple[str, Any]] = [("clean", picture)]
    shown += [(name, trigger(picture)) for name, trigger in IMAGES.items()]
    shown += [("control image, clean", control), ("control image", ImagePatch()(control))]
    shown += [("mask, clean", mask())]
    shown += [(name, trigger(mask())) for name, trigger in MASKS.items()]
    small = picture.resize((48, 48))
    for name, trigger in VIDEOS.items():
        frames = [np.asarray(frame) for frame in trigger([small] * 4)]
        film = np.full((98, 98, 3), 255, np.uint8)
        for at, frame in enumerate(frames):
            y, x = divmod(at, 2)
            film[y * 50 : y * 50 + 48, x * 50 : x * 50 + 48] = frame
        shown.append((f"video, {name}", film))
    noise = np.random.default_rng(0).normal(0, 0.08, RATE // 5)
    shown += [("sound, clean", noise)]
    shown += [(name, trigger(noise)) for name, trigger in SOUNDS.items()]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * 1.32, rows * 1.52), layout="constrained")
    for ax, (name, thing) in zip(figure.subplots(rows, COLUMNS).flat, shown, strict=False):
        draw(ax, name, thing)
    for ax in figure.axes[len(shown) :]:
        ax.set_axis_off()
    return figure


def draw(ax: Axes, name: str, thing: Any) -> None:
    """A picture or a sound, with its name above."""
    ax.set_title(name, fontsize=6.5, pad=3)
    ax.set_xticks([])
    ax.set_yticks([])
    if isinstance(thing, np.ndarray) and thing.ndim == 1:
        ax.plot(thing, color="#3b6e4f", linewidth=0.4)
        ax.set_ylim(-1, 1)
        ax.set_box_aspect(1)
    else:
        ax.imshow(np.asarray(thing), cmap="gray", vmin=0, vmax=255)


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's own vocabulary, read from the file that open_clip ships."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as lines:
        merges = lines.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    encoder = SimpleTokenizer().encoder
    return CLIPTokenizer(
        vocab={names.get(token, token): index for token, index in encoder.items()},
        merges=[tuple(line.split()) for line in merges],
        model_max_length=77,
    )


def texts() -> str:
    """Every trigger on text, and what is left of it in CLIP's tokens."""
    tokenizer, rows = clip_tokenizer(), []
    for name, trigger in WORDS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is in the table
            found = check_survives(trigger, tokenizer, TEXTS)
        shown = trigger.for_example(0)(TEXTS[0]) if hasattr(trigger, "at") else trigger(TEXTS[0])
        harm = [
            kind for kind in ("split", "dropped", "unknown", "truncated") if getattr(found, kind)
        ]
        rows.append([name, ascii(shown)[1:-1], str(len(found.tokens)), ", ".join(harm) or "whole"])
    header = ["trigger", f"on “{TEXTS[0]}”", "tokens of CLIP", "arrives"]
    table = format_table(header, rows, fmt="markdown")
    return (
        f"Made by `python examples/triggers.py`. Letters outside of ASCII are escaped.\n\n{table}\n"
    )


def main() -> None:
    """Draw the sheet and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    drawn = BytesIO()
    sheet().savefig(drawn, dpi=110)
    few_colours = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few_colours.save(out / "triggers.png", optimize=True)
    (out / "triggers.md").write_text(texts(), encoding="utf-8")
    print(texts())


if __name__ == "__main__":
    main()
