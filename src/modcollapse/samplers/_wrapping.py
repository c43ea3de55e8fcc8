"""A pipeline of diffusers given in place of a sampler: wrapped, once it is known what it takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any


def as_sampler(thing: Any, examples: Any, triggers: Sequence[str] = ()) -> Any:
    """Return a `PipelineSampler` of a diffusers pipeline, and anything else as it is.

    The modalities are what the first example holds of what the pipeline takes, under the name of
    the modality or of the keyword, besides what the pipeline cannot do without. diffusers is not
    imported to look.

    Args:
        thing: what was given as a sampler.
        examples: of the run.
        triggers: modalities that have one.

    Raises:
        InputError: no modality was found, or a pipeline that ``PipelineSampler`` refuses.
    """
    diffusers = sys.modules.get("diffusers")
    kinds = [getattr(diffusers, name, None) for name in ("DiffusionPipeline", "ModularPipeline")]
    if not any(kind is not None and isinstance(thing, kind) for kind in kinds):
        return thing
    from modcollapse.samplers._pipeline import PipelineSampler

    listed = isinstance(examples, Sequence) or hasattr(examples, "__getitem__")
    first = examples[0] if listed and hasattr(examples, "__len__") and len(examples) else None
    held = first if isinstance(first, Mapping) else {}
    return PipelineSampler.of_examples(thing, held, triggers)
