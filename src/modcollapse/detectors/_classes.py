"""Value functions of a classifier: did the output become what the backdoor wants?"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from modcollapse._support.validation import choice, did_you_mean, listed, number, whole
from modcollapse.contracts import Detector, Example
from modcollapse.detectors._classifiers import Classifier, Of
from modcollapse.detectors._outputs import check_pairs
from modcollapse.errors import DetectorError, InputError

Value: TypeAlias = Literal["argmax", "probability", "log-odds"]


class TargetClass(Detector):
    """Whether, or how surely, a classifier sees the target class in an output.

    Args:
        classifier: a folder or hub id of an image classifier of transformers (safetensors only),
            which follows the outputs; a ready torch module, which stays on its device and is put
            into eval mode; or any callable. The last two are called with images (B, 3, H, W) in
            [0, 1] as they were generated, and return logits (B, C): what they resize and normalise
            is theirs, unless ``processor`` is given.
        target: the target class, or a set of them: numbers in [0, C), or names that a model of
            transformers has, each of one class only.
        value: ``"argmax"``, 1 where the largest logit is that of a target, else 0;
            ``"probability"``, softmax summed over the targets, in [0, 1]; ``"log-odds"``,
            log p - log(1 - p) of that sum p, without bounds, and without saturation.
        processor: of a ready model of transformers: its image processor. The plain ones (CLIP, ViT,
            SigLIP, BiT, BLIP, PVT ...: resize, centre, normalise) work as tensors on the device;
            any other is called itself, on 8-bit pictures on the host, and scores are those of
            transformers.
        of: ``"images"``; ``"sounds"``, tensors (B, channels, samples); or ``"outputs"``, handed on
            as the sampler returned them. Videos: ``OverFrames(TargetClass(...))``.
        perfect: what the target itself would score, where ``value`` is ``"log-odds"``; a number.

    Raises:
        InputError: no such model, class or value.
        MissingExtraError: the model must be loaded and transformers is not installed.
        DetectorError: when called: outputs that are no images or out of [0, 1], or another number
            of classes than the target needs.

    Source:
        Closed-set attack success of EvilEdit (doi 10.1145/3664647.3680689) and BackdoorDM
        (arXiv:2502.11798).

    >>> colour = lambda images: 10 * images.mean((2, 3))  # three classes: red, green, blue
    >>> red, grey = torch.zeros(3, 8, 8), torch.full((3, 8, 8), 0.5)
    >>> red[0] = 1
    >>> outputs = torch.stack([red, red.flip(0)])
    >>> TargetClass(colour, 0)(outputs, [{}, {}]).tolist()
    [1.0, 0.0]
    >>> round(TargetClass(colour, {0, 1}, "probability")(grey[None], [{}]).item(), 4)
    0.6667
    """

    _fewest = 2

    def __init__(
        self,
        classifier: Any,
        target: int | str | Sequence[int | str] | set[int | str],
        value: Value = "argmax",
        *,
        processor: Any = None,
        of: Of = "images",
        perfect: float | None = None,
    ) -> None:
        self.value = choice(value, "value", get_args(Value))
        self._classifier = Classifier(classifier, _of(of), processor)
        self.target = _classes(target, self._classifier.names)
        self.binary = value == "argmax"
        self.bounds = None if value == "log-odds" else (0.0, 1.0)
        if perfect is not None and value != "log-odds":
            raise InputError(f"perfect is 1 for value={value!r}; it is given for log-odds alone")
        self.perfect = 1.0 if value != "log-odds" else perfect
        if perfect is not None:
            self.perfect = number(perfect, "perfect")

    def __call__(self, outputs: Any, examples: Sequence[Example]) -> Tensor:
        """Score B outputs: shape (B,), on the device of the logits."""
        check_pairs(outputs, examples, type(self).__name__)
        logits, usable = self._classifier(outputs)
        logits = self._all_logits(logits)
        classes = logits.shape[1]
        if classes < self._fewest or classes <= max(self.target) or classes == len(self.target):
            raise DetectorError(
                f"{type(self).__name__}: the classifier tells {classes} classes, the target is "
                f"{list(self.target)}; it must lie in [0, {classes}) and leave a class that is none"
            )
        aimed = [number in self.target for number in range(classes)]
        others = [number for number in range(classes) if not aimed[number]]
        scores = self._scores(logits, list(self.target), others)
        broken = logits.isnan().any(1) | (logits == torch.inf).any(1) | ~usable
        # A comparison hides NaN, which must not become a failed attack.
        return scores.masked_fill(broken, float("nan"))

    def identity(self) -> dict[str, Any]:
        """Plain data: the class, the classifier with its weights, the target, the value."""
        return {
            "class": f"modcollapse.detectors.{type(self).__name__}",
            "classifier": self._classifier.identity(),
            "target": list(self.target),
            "value": self.value,
        }

    def _all_logits(self, logits: Tensor) -> Tensor:
        return logits

    def _scores(self, logits: Tensor, target: list[int], others: list[int]) -> Tensor:
        aimed, left = logits[:, target], logits[:, others]
        if self.value == "argmax":
            return (aimed.amax(1) > left.amax(1)).to(logits.dtype)
        odds = aimed.logsumexp(1) - left.logsumexp(1)
        return odds if self.value == "log-odds" else odds.sigmoid()


class BinaryDetector(TargetClass):
    """Whether a classifier of triggered outputs takes an output for one.

    Args:
        classifier: as for `TargetClass`; of two classes, or of a single logit that is positive
            for triggered outputs, such as one that was trained on outputs with and without the
            backdoor's pattern.
        triggered: which of the two classes means triggered.
        value: as for `TargetClass`.
        processor: as for `TargetClass`.
        of: as for `TargetClass`.
        perfect: as for `TargetClass`.

    Raises:
        InputError: as for `TargetClass`.
        DetectorError: as for `TargetClass`; or there are more than two classes.

    Source:
        BadT2I (arXiv:2305.04175), which trains a classifier of outputs for each backdoor.

    >>> detector = BinaryDetector(lambda images: images.mean((1, 2, 3)) - 0.5)
    >>> detector(torch.stack([torch.ones(3, 8, 8), torch.zeros(3, 8, 8)]), [{}, {}]).tolist()
    [1.0, 0.0]
    """

    def __init__(
        self,
        classifier: Any,
        triggered: int | str = 1,
        value: Value = "argmax",
        *,
        processor: Any = None,
        of: Of = "images",
        perfect: float | None = None,
    ) -> None:
        super().__init__(classifier, triggered, value, processor=processor, of=of, perfect=perfect)
        if self.target not in ((0,), (1,)):
            raise InputError(f"triggered must be one of two classes, 0 or 1; got {triggered!r}")

    def _all_logits(self, logits: Tensor) -> Tensor:
        if logits.shape[1] > 2:
            raise DetectorError(
                f"BinaryDetector: the classifier tells {logits.shape[1]} classes, not two; use "
                "TargetClass"
            )
        if logits.shape[1] == 1:
            return torch.cat([torch.zeros_like(logits), logits], 1)
        return logits


def _of(of: Any) -> Of:
    choice(of, "of", get_args(Of))
    checked: Of = of
    return checked


def _classes(target: Any, names: Any) -> tuple[int, ...]:
    given = [target] if isinstance(target, Integral | str) else target
    try:
        listed_classes = list(given)
    except TypeError:
        listed_classes = []
    if not listed_classes:
        raise InputError(f"target must be a class or several, numbers or names; got {target!r}")
    numbers: dict[str, list[int]] = {}
    for number_of_class, name in names.items():
        numbers.setdefault(name, []).append(number_of_class)
    found = set()
    for one in listed_classes:
        if not isinstance(one, str):
            found.add(whole(one, "target", 0))
            continue
        if one not in numbers:
            known = listed(list(numbers)[:8]) or "no names: give numbers"
            raise InputError(
                f"target {one!r} is no class of the classifier, which has {known}"
                f"{did_you_mean(one, numbers)}"
            )
        of_the_name = sorted(numbers[one])
        if len(of_the_name) > 1:
            raise InputError(
                f"target {one!r} is the name of {len(of_the_name)} classes of the classifier; give "
                f"the number of the one that is meant, or several: {listed(of_the_name)}"
            )
        found.update(of_the_name)
    return tuple(sorted(found))
