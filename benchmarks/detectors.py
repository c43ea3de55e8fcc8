"""What detectors cost beyond the library beneath them, on a batch of 16 images of 512 x 512.

    python benchmarks/detectors.py --out detectors.json

Both sides get the same tensors and the same weights (random ones: time does not depend on them),
and must agree. They take turns; the ratio of the fastest runs counts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import torch
from torch import Tensor
from torch.nn import functional as F

from _common import environment, publish
from modcollapse.detectors import (
    PSNR,
    SISDR,
    SSIM,
    ClipModel,
    ClipShift,
    NegativeLPIPS,
    NegativeMSE,
    TargetClass,
)

MOST = 1.05
"""Of the time of the library beneath, for detectors of images."""
B, SIDE = 16, 512
MEAN, STD = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)


class Case(NamedTuple):
    """One detector, and the calls of libraries that give the same values."""

    name: str
    detector: Callable[[], Tensor]
    library: Callable[[], Tensor]
    runs: int


def cases() -> Iterator[Case]:
    """Yield each case when its turn comes, so that only one model is in memory."""
    import torchmetrics.functional as metrics
    from torchmetrics.functional.image.lpips import _LPIPS

    torch.manual_seed(0)
    outputs, target = torch.rand(B, 3, SIDE, SIDE), torch.rand(3, SIDE, SIDE)
    references = list(torch.rand(B // 4, 3, SIDE, SIDE))
    examples = [{"reference": references[n // 4]} for n in range(B)]
    both = target.expand_as(outputs)
    mse = NegativeMSE(target)
    yield Case(
        "NegativeMSE",
        lambda: mse(outputs, examples),
        lambda: -F.mse_loss(outputs, both, reduction="none").mean((1, 2, 3)),
        30,
    )
    psnr = PSNR(target)
    yield Case(
        "PSNR",
        lambda: psnr(outputs, examples),
        lambda: metrics.peak_signal_noise_ratio(
            outputs, both, data_range=1.0, reduction="none", dim=(1, 2, 3)
        ),
        30,
    )
    ssim = SSIM(target)
    yield Case(
        "SSIM",
        lambda: ssim(outputs, examples),
        lambda: metrics.structural_similarity_index_measure(
            outputs, both, data_range=1.0, reduction="none"
        ),
        2,
    )
    net = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
    lpips = NegativeLPIPS(target, net)
    yield Case(
        "NegativeLPIPS",
        lambda: lpips(outputs, examples),
        lambda: -net(outputs, both, normalize=True).flatten(),
        2,
    )
    yield of_open_clip(outputs, target, references, examples)
    yield of_transformers(outputs, target, references, examples)
    yield classifier(outputs, examples)
    sounds = torch.randn(B, 2, 480_000)
    sdr = SISDR(sounds[0])
    yield Case(
        "SISDR (16 stereo sounds of 10 s)",
        lambda: sdr(sounds, examples),
        lambda: (
            metrics.scale_invariant_signal_distortion_ratio(
                sounds.double(), sounds[0].double().expand_as(sounds)
            )
            .mean(1)
            .clamp(-100, 100)
            .float()
        ),
        10,
    )


def shift(z: Tensor, z_target: Tensor, z_clean: Tensor) -> Tensor:
    """The value of ClipShift, of embeddings."""
    return F.cosine_similarity(z, z_target) - F.cosine_similarity(
        z, z_clean.repeat_interleave(4, 0)
    )


def of_open_clip(outputs: Tensor, target: Tensor, references: Any, examples: Any) -> Case:
    """Torchvision's transform for tensors and open_clip's ViT-B/32."""
    import open_clip
    from torchvision.transforms import v2

    model = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    bicubic = v2.InterpolationMode.BICUBIC
    transform = v2.Compose([v2.Resize(224, bicubic), v2.CenterCrop(224), v2.Normalize(MEAN, STD)])
    # A view each time: of one and the same batch the embeddings would be kept.
    detector = ClipShift(target, model, image_size=224, mean=MEAN, std=STD)
    z_target = model.encode_image(transform(target[None])).detach()

    @torch.no_grad()
    def library() -> Tensor:
        z, z_clean = (model.encode_image(transform(x)) for x in (outputs, torch.stack(references)))
        return shift(z, z_target, z_clean)

    return Case("ClipShift, open_clip", lambda: detector(outputs[:], examples), library, 2)


def of_transformers(outputs: Tensor, target: Tensor, references: Any, examples: Any) -> Case:
    """The image processor of transformers on tensors, and its ViT-B/32."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    vision = {"patch_size": 32}
    model = CLIPModel(CLIPConfig(vision_config=vision)).eval()
    processor = CLIPImageProcessor(image_mean=MEAN, image_std=STD)
    detector = ClipShift(target, ClipModel(model, processor=processor))

    @torch.no_grad()
    def embedded(images: Any) -> Tensor:
        inputs = processor(images=list(images), do_rescale=False, return_tensors="pt")
        return model.get_image_features(**inputs).pooler_output

    z_target = embedded(target[None])
    return Case(
        "ClipShift, transformers",
        lambda: detector(outputs[:], examples),
        lambda: shift(embedded(outputs), z_target, embedded(references)),
        2,
    )


def classifier(outputs: Tensor, examples: Any) -> Case:
    """The image processor of transformers on tensors, and a small ViT of it."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(
        hidden_size=384, intermediate_size=1536, num_attention_heads=6, num_labels=1000
    )
    model, processor = ViTForImageClassification(config).eval(), ViTImageProcessor()
    detector = TargetClass(model, 281, "probability", processor=processor)

    @torch.no_grad()
    def library() -> Tensor:
        inputs = processor(images=list(outputs), do_rescale=False, return_tensors="pt")
        return model(**inputs).logits.softmax(1)[:, 281]

    return Case("TargetClass, transformers", lambda: detector(outputs, examples), library, 2)


def measured(case: Case) -> dict[str, Any]:
    """Processor seconds of both sides, which take turns and must agree."""
    seconds: dict[str, list[float]] = {"detector": [], "library": []}
    for _ in range(case.runs):
        values = []
        for side, call in (("detector", case.detector), ("library", case.library)):
            start = time.process_time()
            values.append(call())
            seconds[side].append(time.process_time() - start)
        # Resizing overshoots, which is clamped here and not in torchvision's transform.
        torch.testing.assert_close(*values, rtol=1e-2, atol=5e-3)
    fastest = {side: min(found) for side, found in seconds.items()}
    ratio = fastest["detector"] / fastest["library"]
    return {
        "detector": case.name,
        **{f"{k}_seconds": v for k, v in fastest.items()},
        "ratio": ratio,
    }


def main() -> None:
    """Measure, print and publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file to write (default: standard output)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measured(case) for case in cases()]
    report = {
        "benchmark": "detectors",
        "batch": [B, 3, SIDE, SIDE],
        "clock": "processor time, one thread",
        "most_ratio": MOST,
        "results": rows,
        "within_limits": all(
            row["ratio"] <= MOST for row in rows if "sounds" not in row["detector"]
        ),
        "environment": environment(["torch", "torchmetrics", "open_clip_torch", "transformers"]),
    }
    lines = [
        f"{row['detector']:34} {1e3 * row['detector_seconds']:8.1f} ms, library "
        f"{1e3 * row['library_seconds']:8.1f} ms, ratio {row['ratio']:.3f}"
        for row in rows
    ]
    publish(report, "\n".join(lines), options.out)


if __name__ == "__main__":
    main()
