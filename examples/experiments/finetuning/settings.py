"""How a pipeline is finetuned: one class, for every size."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from experiments.config_file import Settings

Part = Literal["unet", "text_encoder"]


class Training(Settings):
    """How a pipeline is finetuned.

    A batch is the same on any number of processes: its samples, noise and times are drawn for the
    whole of it, each process takes its share, and passes that through the model ``rows`` at a time.

    Attributes:
        base: InstructPix2Pix pipeline that it begins from: a folder, or an id on the hub.
        revision: of the hub's repository, a commit at best.
        variant: of its files, such as ``"fp16"``.
        learn: what is trained; of the text encoder all but its token embeddings.
        lora_rank: rank of the LoRA that is trained in place of the UNet's weights; 0: the weights.
        lora_alpha: its scale, over the rank; the rank if left out.
        resolution: width and height of the pictures, in pixels.
        steps: number of updates.
        batch_size: samples an update, over all processes.
        rows: samples that a process passes through the model at once; all of its share if left out.
        lr: learning rate after the warm-up.
        warmup: steps over which it rises.
        decay: fraction of the steps, at the end, over which it falls linearly to zero.
        beta2: AdamW's second moment decay; the first is 0.9.
        weight_decay: AdamW's.
        clip: largest norm of the gradient.
        average: decay of the moving average of the weights, which is what is saved; none if 0.
        drop: chance that a sample loses its instruction, its source, or both: each of the three.
        seed: of samples, noise, times and dropped conditions.
        precision: of the forward pass; weights and updates are in float32.
        gradient_checkpointing: compute the UNet's activations again in place of keeping them.
        checkpoint_every: steps between two checkpoints; none if 0.
        checkpoints: how many are kept.
        log: where the loss goes, besides the terminal.
        log_every: steps between two lines of progress.
        device: ``"cpu"``: the processor, even where there is a GPU.
        encode_rows: pictures that the VAE encodes at once.
        cache_texts: keep what a frozen text encoder says of each instruction, in memory.
    """

    base: str = "timbrooks/instruct-pix2pix"
    revision: str | None = None
    variant: str | None = None
    learn: Annotated[tuple[Part, ...], Field(min_length=1)] = ("unet",)
    lora_rank: Annotated[int, Field(ge=0)] = 0
    lora_alpha: Annotated[float, Field(gt=0)] | None = None
    resolution: Annotated[int, Field(ge=8, multiple_of=8)] = 256
    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 32
    rows: Annotated[int, Field(ge=1)] | None = None
    lr: Annotated[float, Field(gt=0)] = 1e-4
    warmup: Annotated[int, Field(ge=0)] = 50
    decay: Annotated[float, Field(ge=0, le=1)] = 0.4
    beta2: Annotated[float, Field(gt=0, lt=1)] = 0.99
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Annotated[float, Field(gt=0)] = 1.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.995
    drop: Annotated[float, Field(ge=0, le=1 / 3)] = 0.05
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["no", "bf16", "fp16"] = "no"
    gradient_checkpointing: bool = False
    checkpoint_every: Annotated[int, Field(ge=0)] = 0
    checkpoints: Annotated[int, Field(ge=1)] = 2
    log: Literal["", "tensorboard", "wandb", "trackio"] = ""
    log_every: Annotated[int, Field(ge=1)] = 100
    device: Literal["auto", "cpu"] = "auto"
    encode_rows: Annotated[int, Field(ge=1)] = 16
    cache_texts: bool = True

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if len(set(self.learn)) < len(self.learn):
            raise ValueError(f"learn names a part twice: {list(self.learn)}")
        if self.lora_rank and self.learn != ("unet",):
            raise ValueError(
                f"lora_rank={self.lora_rank} trains a LoRA of the UNet alone: learn must be "
                f'["unet"], got {list(self.learn)}'
            )
        if self.lora_alpha is not None and not self.lora_rank:
            raise ValueError("lora_alpha goes with a lora_rank above 0")
        return self
