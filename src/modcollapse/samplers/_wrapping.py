"""A pipeline of diffusers given in place of a sampler: wrapped, once it is known what it takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modcollapse.errors import InputError


def as_sampler(thing: Any, first: Callable[[], Any], asked: Sequence[str] = ()) -> Any:
    """Return a `PipelineSampler` of a diffusers pipeline, and anything else as it is.

    The modalities are what an example holds of what the pipeline takes, under the name of
    the modality or of the keyword, besides what the pipeline cannot do without. diffusers is not
    imported to look.

    Args:
        thing: what was given as a sampler.
        first: reads the first example of the run.
        asked: modalities that have a trigger.

    Raises:
        InputError: no modality was found, a pipeline that ``PipelineSampler`` refuses, or a model
            of transformers without its processor.
    """
    diffusers = sys.modules.get("diffusers")
    kinds = [getattr(diffusers, name, None) for name in ("DiffusionPipeline", "ModularPipeline")]
    if not any(kind is not None and isinstance(thing, kind) for kind in kinds):
        model = getattr(sys.modules.get("transformers"), "PreTrainedModel", None)
        if model is not None and isinstance(thing, model):
            raise InputError(
                f"{type(thing).__name__} is a model of transformers, which needs its processor to "
                "be asked: VLMSampler(model, processor)"
            )
        return thing
    from modcollapse.samplers._pipeline import PipelineSampler

    example = first()
    if not isinstance(example, Mapping):  # which is refused where all examples are looked at
        return PipelineSampler(thing)
    return PipelineSampler.of_examples(thing, example, asked)
