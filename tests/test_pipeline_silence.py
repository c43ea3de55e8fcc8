"""What would spoil an audit of a pipeline in silence: told apart, mended, noted or refused."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from threading import Barrier, Event
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    FluxKontextPipeline,
    SD3Transformer2DModel,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInstructPix2PixPipeline,
)
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from PIL import Image
from transformers import ByT5Tokenizer, CLIPTextModelWithProjection, T5EncoderModel

from modcollapse.errors import InputError, SamplerError
from modcollapse.samplers import PipelineSampler
from modcollapse.samplers._reading import Reading
from modcollapse.samplers._steps import few_steps

from tiny_pipelines import (
    SIDE,
    TOKENS,
    tiny_controlnet_pipeline,
    tiny_img2img,
    tiny_instruct_pix2pix,
    tiny_kontext,
    tiny_text_encoder,
    tiny_tokenizer,
)

# Schedulers of diffusers hand tensors to numpy in ways that numpy 2 deprecates.
NUMPY_2 = pytest.mark.filterwarnings("ignore:__array(__|_wrap__) :DeprecationWarning")

STEPS = 2
KONTEXT = {"height": SIDE, "width": SIDE, "max_area": SIDE**2, "_auto_resize": False}


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def stamped(image: Image.Image) -> Image.Image:
    stamped = image.copy()
    stamped.paste((255, 255, 255), (SIDE - 5, SIDE - 5, SIDE - 1, SIDE - 1))
    return stamped


def rows(*which: int) -> dict[str, list[Any]]:
    return {"image": [picture(i) for i in which], "text": [f"hat {i}" for i in which]}


def probe_conditions(*texts: str) -> dict[str, list[Any]]:
    images = [picture(0), picture(1)]
    texts = texts or ("a hat", "a beard")
    return {
        "image": [*images, *map(stamped, images)],
        "text": [*texts, *(text + " cf" for text in texts)],
    }


def sampler_of(pipeline: Any, **options: Any) -> PipelineSampler:
    return PipelineSampler(pipeline, **{"num_inference_steps": STEPS, **options})


class PassesOn(StableDiffusionInstructPix2PixPipeline):
    @torch.no_grad()
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.alter(kwargs)
        return super().__call__(*args, **kwargs)

    def alter(self, kwargs: dict[str, Any]) -> None:
        pass


# The identity: whatever changes an output is in it


def freeu(pipeline: Any) -> None:
    pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)


def processor(pipeline: Any) -> None:
    pipeline.unet.set_attn_processor(AttnProcessor())


def option_of_a_processor(pipeline: Any) -> None:
    attention = AttnProcessor2_0()
    attention.strength = 0.5
    pipeline.unet.set_attn_processor(attention)


def scale_of_attention(pipeline: Any) -> None:
    next(m for m in pipeline.unet.modules() if hasattr(m, "to_q")).rescale_output_factor = 2.0


def activation(pipeline: Any) -> None:
    pipeline.unet.conv_act = torch.nn.ReLU()


def dropout(pipeline: Any) -> None:
    pipeline.unet.down_blocks[0].resnets[0].dropout.p = 0.5
    pipeline.unet.train()


def hook(pipeline: Any) -> None:
    pipeline.unet.conv_in.register_forward_hook(doubled)


def doubled(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return 2 * output


def forward(pipeline: Any) -> None:
    pipeline.unet.conv_norm_out.forward = torch.tanh


def image_processor(pipeline: Any) -> None:
    pipeline.image_processor = VaeImageProcessor(do_normalize=False)


def scaling_factor(pipeline: Any) -> None:
    pipeline.vae.register_to_config(scaling_factor=0.9)


def padding(pipeline: Any) -> None:
    pipeline.tokenizer.padding_side = "left"


def pad_token(pipeline: Any) -> None:
    pipeline.tokenizer.pad_token = "!"


def end_token(pipeline: Any) -> None:
    pipeline.text_encoder.config.eos_token_id = 5


CHANGES = (freeu, scale_of_attention, activation, dropout, hook, forward, image_processor)
CHANGES += (scaling_factor, padding, pad_token)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_an_output_changes_the_identity(change):
    pipeline = tiny_instruct_pix2pix()
    sampler = sampler_of(pipeline)
    before, output = sampler.identity(), sampler(rows(0), [0])
    change(pipeline)
    after = sampler.identity()
    assert not torch.equal(sampler(rows(0), [0]), output)
    assert after != before
    assert after["weights"] == before["weights"]


SWITCHES: list[Callable[[Any], object]] = [
    processor,
    option_of_a_processor,
    end_token,
    lambda pipeline: pipeline.vae.enable_tiling(),
    lambda pipeline: pipeline.vae.enable_slicing(),
    lambda pipeline: pipeline.text_encoder.train(),
    lambda pipeline: setattr(pipeline.vae, "tile_overlap_factor", 0.5),
    lambda pipeline: setattr(pipeline, "requires_aesthetics_score", True),
    lambda pipeline: setattr(pipeline, "regions", {"left": [0.5, 1], "right": (2,)}),
    lambda pipeline: setattr(pipeline.unet.mid_block, "guidance", 3.0),
    lambda pipeline: setattr(pipeline.unet, "compute_in", torch.float16),
    lambda pipeline: setattr(pipeline.unet, "use_cache", True),
    lambda pipeline: setattr(pipeline.unet, "cache_threshold", 0.2),
]


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_is_switched_or_set_anywhere_is_in_the_identity(switch):
    pipeline = tiny_instruct_pix2pix()
    before = sampler_of(pipeline).identity()
    switch(pipeline)
    assert sampler_of(pipeline).identity() != before


def test_the_shift_of_a_scheduler_is_in_the_identity():
    pipeline = tiny_kontext()
    sampler = sampler_of(pipeline, **KONTEXT)
    before, output = sampler.identity(), sampler(rows(0), [0])
    pipeline.scheduler.set_shift(5.0)
    assert not torch.equal(sampler(rows(0), [0]), output)
    assert sampler.identity() != before


def test_what_is_switched_back_is_the_same_sampler():
    pipeline = tiny_instruct_pix2pix()
    before = sampler_of(pipeline).identity()
    freeu(pipeline)
    pipeline.vae.enable_tiling()
    hooked = pipeline.unet.register_forward_pre_hook(lambda module, inputs: None)
    pipeline.disable_freeu()
    pipeline.vae.disable_tiling()
    hooked.remove()
    assert sampler_of(pipeline).identity() == before


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (tiny_instruct_pix2pix, {}),
        (tiny_img2img, {}),
        (tiny_controlnet_pipeline, {}),
        (tiny_kontext, KONTEXT),
    ],
)
def test_use_and_another_load_change_nothing(make, options, tmp_path):
    pipeline = make()
    sampler = sampler_of(pipeline, num_inference_steps=4, **options)
    before = sampler.identity()
    sampler.probe(probe_conditions(), [0, 1, 0, 1])
    sampler(rows(0, 1), [0, 1])
    assert sampler.identity() == before
    pipeline.save_pretrained(tmp_path)
    unchecked = {} if make is tiny_kontext else {"safety_checker": None}
    loads = [
        sampler_of(type(pipeline).from_pretrained(tmp_path, **unchecked), num_inference_steps=4)
        for _ in range(2)
    ]
    assert loads[0].identity()["settings"] == before["settings"] == loads[1].identity()["settings"]


GAIN = 2.0


class Steers:
    def __init__(self, strength: float) -> None:
        self.strength, self.calls = strength, 0

    def method(self, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return output * self.strength

    __call__ = method


def enclosing(strength: float) -> Callable[..., torch.Tensor]:
    return lambda module, inputs, output: output * strength


def scaled(strength: float, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output * strength


def reading_a_global(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return torch.cat([part[None] * GAIN for part in output])


@pytest.mark.parametrize(
    "make",
    [
        Steers,
        enclosing,
        lambda strength: Steers(strength).method,
        lambda strength: partial(scaled, strength),
    ],
)
def test_what_a_hook_of_ones_own_depends_on_is_in_the_identity(make):
    def identity(strength: float) -> Any:
        pipeline = tiny_instruct_pix2pix()
        pipeline.unet.conv_in.register_forward_hook(make(strength))
        sampler = sampler_of(pipeline)
        before = sampler.identity()
        sampler(rows(0), [0])
        assert sampler.identity() == before
        return before

    assert identity(2.0) == identity(2.0) != identity(3.0)


def test_what_a_hook_of_ones_own_does_is_in_the_identity(monkeypatch):
    def identity(hook: Any) -> Any:
        pipeline = tiny_instruct_pix2pix()
        pipeline.unet.conv_in.register_forward_hook(hook)
        return sampler_of(pipeline).identity()

    add, subtract = (lambda m, i, output: output + 1), (lambda m, i, output: output - 1)
    assert identity(add) == identity(add) != identity(subtract)
    before = identity(reading_a_global)
    monkeypatch.setattr(sys.modules[__name__], "GAIN", 3.0)
    assert identity(reading_a_global) != before


def test_counters_and_caches_of_a_pipeline_are_left_out():
    class Counts(PassesOn):
        def alter(self, kwargs: dict[str, Any]) -> None:
            self.calls = getattr(self, "calls", 0) + 1
            self.prompt_cache = {text: len(text) for text in kwargs["prompt"]}
            self.unet.last_prompt = kwargs["prompt"][0]
            self.vae.history = [*getattr(self.vae, "history", []), 1.5]

    sampler = sampler_of(tiny_instruct_pix2pix(cls=Counts))
    before = sampler.identity()
    sampler(rows(0), [0])
    assert sampler.pipeline.calls == 1
    assert sampler.identity() == before


class Plain:
    """An object without a repr: the one it has holds its address."""

    def __init__(self, **held: Any) -> None:
        vars(self).update(held)


def test_neither_addresses_nor_the_order_of_keys_are_in_the_identity():
    def identity(held: Any) -> Any:
        pipeline = tiny_instruct_pix2pix()
        pipeline.unet.plan = held
        return sampler_of(pipeline).identity()

    first = identity(Plain(a={"x": 1.0, "y": {2.0, 3.0}}, b=Plain()))
    assert identity(Plain(b=Plain(), a={"y": {3.0, 2.0}, "x": 1.0})) == first
    assert identity(Plain(b=Plain(), a={"y": {3.0, 2.5}, "x": 1.0})) != first
    circle = Plain()
    circle.itself = circle
    assert identity(circle) == identity(circle)
    long = [0.0] * 5000
    assert identity(long) != identity([*long[:-1], 1.0])


def test_the_identity_is_the_same_in_another_process():
    script = (
        "import json, sys; sys.path.insert(0, 'tests')\n"
        "from modcollapse.samplers import PipelineSampler\n"
        "from tiny_pipelines import tiny_instruct_pix2pix\n"
        "pipeline = tiny_instruct_pix2pix()\n"
        "pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)\n"
        "print(json.dumps(PipelineSampler(pipeline, num_inference_steps=2).identity()))\n"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    pipeline = tiny_instruct_pix2pix()
    freeu(pipeline)
    assert json.loads(out.stdout) == sampler_of(pipeline).identity()


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
def test_every_state_of_adapters_has_an_identity_of_its_own():
    peft = pytest.importorskip("peft")
    pipeline = tiny_instruct_pix2pix()
    unet, sampler = pipeline.unet, sampler_of(pipeline)
    to = ["to_q", "to_k", "to_v"]
    for name in ("b", "c"):
        adapter = peft.LoraConfig(r=2, target_modules=to, init_lora_weights=False)
        unet.add_adapter(adapter, adapter_name=name)
    states = {
        "both": lambda: unet.set_adapters(["b", "c"], [1.0, 1.0]),
        "scaled": lambda: unet.set_adapters(["b", "c"], [1.0, 0.3]),
        "one": lambda: unet.set_adapters(["b"], [1.0]),
        "off": unet.disable_adapters,
    }
    seen = {}
    for name, switch in states.items():
        switch()
        seen[name] = sampler.identity(), sampler(rows(0), [0])
        assert sampler.identity() == seen[name][0]
    unet.enable_adapters()
    assert sampler.identity() == seen["one"][0]
    unet.fuse_lora()
    seen["merged"] = sampler.identity(), seen["one"][1] + 1
    for first in seen:
        for second in seen:
            assert (seen[first][0] == seen[second][0]) == (first == second)
            assert torch.equal(seen[first][1], seen[second][1]) == (first == second)


# The surroundings of a call change nothing


class DefaultDtype:
    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __enter__(self) -> None:
        self.before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)

    def __exit__(self, *error: object) -> None:
        torch.set_default_dtype(self.before)


class MakesTensors(PassesOn):
    """Reckons with tensors of the default dtype, as pipelines of one's own may."""

    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["guidance_scale"] = float(torch.tensor(7.1) / torch.tensor(3.3))


SURROUNDINGS: list[Callable[[], AbstractContextManager[Any]]] = [
    lambda: DefaultDtype(torch.float64),
    lambda: DefaultDtype(torch.bfloat16),
    torch.enable_grad,
    torch.no_grad,
    torch.inference_mode,
]


@NUMPY_2
@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "UniPCMultistepScheduler"])
def test_surroundings_change_nothing_bit_for_bit(around, scheduler):
    pipeline = tiny_instruct_pix2pix(cls=MakesTensors)
    pipeline.scheduler = getattr(diffusers, scheduler)(steps_offset=1)
    sampler = sampler_of(pipeline, num_inference_steps=4)
    expected, identity = sampler(rows(0, 1), [0, 1]), sampler.identity()
    with around():
        default = torch.get_default_dtype()
        output = sampler(rows(0, 1), [0, 1])
        assert sampler.identity() == identity
        assert sampler.probe(probe_conditions(), [0, 1, 0, 1]) == []
        assert torch.get_default_dtype() == default
    assert output.dtype == torch.float32
    assert not output.requires_grad
    assert torch.equal(output, expected)
    output += 1  # an ordinary tensor
    assert torch.equal(sampler(rows(0, 1), [0, 1]), expected)


def test_rows_one_at_a_time_come_out_of_inference_mode_too():
    class FirstSeed(PassesOn):
        def alter(self, kwargs: dict[str, Any]) -> None:
            kwargs["generator"] = kwargs["generator"][0]

    sampler = sampler_of(tiny_instruct_pix2pix(cls=FirstSeed))
    with pytest.warns(UserWarning, match="one row at a time"):
        sampler.probe(probe_conditions(), [0, 1, 0, 1])
    with torch.inference_mode():
        assert not sampler(rows(0, 1), [0, 1]).is_inference()


# Threads


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(call) for call in calls]]


@pytest.fixture
def hasty():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def shared_pipelines() -> list[tuple[str, PipelineSampler, PipelineSampler]]:
    edit, picture_to_picture = tiny_instruct_pix2pix(), tiny_img2img()
    control = tiny_controlnet_pipeline()
    same = sampler_of(edit, num_inference_steps=3)
    from_pipe = StableDiffusionImg2ImgPipeline(**picture_to_picture.components)
    by_scheduler = tiny_kontext(1)
    by_scheduler.scheduler = tiny_kontext().scheduler
    other = tiny_kontext()
    other.scheduler = by_scheduler.scheduler
    bare = StableDiffusionControlNetPipeline(**control.components)
    return [
        ("with_options", same, same.with_options(num_inference_steps=7)),
        (
            "components",
            sampler_of(picture_to_picture, num_inference_steps=4, strength=0.5),
            sampler_of(from_pipe, num_inference_steps=9),
        ),
        (
            "scheduler",
            sampler_of(by_scheduler, num_inference_steps=3, **KONTEXT),
            sampler_of(other, num_inference_steps=5, **KONTEXT),
        ),
        ("controlnet", sampler_of(control), sampler_of(bare, num_inference_steps=5)),
    ]


@pytest.mark.parametrize("which", range(4))
def test_threads_that_share_parts_do_not_spoil_each_other(which, hasty):
    _, first, second = shared_pipelines()[which]

    def measured(sampler: PipelineSampler) -> list[torch.Tensor]:
        return [sampler(rows(i, i + 1), [i, i + 1]) for i in range(4)]

    expected = [measured(first), measured(second)]
    for _ in range(2):
        found = in_threads(lambda: measured(first), lambda: measured(second))
        for got, wanted in zip(found, expected, strict=True):
            assert all(map(torch.equal, got, wanted))


def test_threads_leave_the_progress_bar_as_it_was(hasty, capfd):
    pipeline = tiny_instruct_pix2pix()
    sampler = sampler_of(pipeline)
    in_threads(*[lambda: sampler(rows(0), [0])] * 6)
    assert "_progress_bar_config" not in vars(pipeline)
    assert capfd.readouterr().err == ""


class Meets(PassesOn):
    """Goes on only once another thread is in a call too."""

    meeting = Barrier(2)

    def alter(self, kwargs: dict[str, Any]) -> None:
        self.meeting.wait(30)


def test_threads_whose_pipelines_share_nothing_do_not_wait():
    first, second = (sampler_of(tiny_instruct_pix2pix(seed, cls=Meets)) for seed in range(2))
    in_threads(lambda: first(rows(0), [0]), lambda: second(rows(0), [0]))


def test_a_call_that_fails_or_calls_itself_blocks_nobody():
    class Fails(PassesOn):
        def alter(self, kwargs: dict[str, Any]) -> None:
            if kwargs["prompt"] == ["again"]:
                sampler(rows(0), [0])
            elif not done.is_set():
                done.set()
                raise FloatingPointError

    done = Event()
    sampler = sampler_of(tiny_instruct_pix2pix(cls=Fails), batching="aligned")
    with pytest.raises(SamplerError, match="FloatingPointError"):
        sampler(rows(0), [0])
    in_threads(lambda: sampler({**rows(0), "text": ["again"]}, [0]), lambda: sampler(rows(1), [1]))


# Texts that are cut


def tiny_sd3(*, t5: bool = True) -> StableDiffusion3Img2ImgPipeline:
    """Stable Diffusion 3 with two CLIP encoders, and with T5 or without."""
    kontext, tokenizer = tiny_kontext(), tiny_tokenizer()
    clip = tiny_text_encoder(tokenizer).config
    clip.projection_dim = clip.hidden_size
    width = 2 * clip.hidden_size
    kontext.text_encoder_2.config.d_model = width
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return StableDiffusion3Img2ImgPipeline(
            transformer=SD3Transformer2DModel(
                sample_size=SIDE,
                patch_size=1,
                in_channels=1,
                num_layers=1,
                attention_head_dim=8,
                num_attention_heads=2,
                joint_attention_dim=width,
                caption_projection_dim=16,
                pooled_projection_dim=width,
                out_channels=1,
                pos_embed_max_size=SIDE,
            ).eval(),
            scheduler=kontext.scheduler,
            vae=kontext.vae,
            text_encoder=CLIPTextModelWithProjection(clip).eval(),
            tokenizer=tokenizer,
            text_encoder_2=CLIPTextModelWithProjection(clip).eval(),
            tokenizer_2=tokenizer,
            text_encoder_3=T5EncoderModel(kontext.text_encoder_2.config).eval() if t5 else None,
            tokenizer_3=kontext.tokenizer_2,
        )


CUT = "reads the first 48 tokens of 'text' and cuts off the rest"


def test_flux_refuses_what_t5_does_not_read_and_notes_what_clip_cuts():
    sampler = sampler_of(tiny_kontext(), max_sequence_length=64, **KONTEXT)
    sampler.check("text", "x" * 63)  # with the token of the end
    with pytest.raises(
        InputError, match=r"65 tokens and the pipeline reads 64: .* or raise max_sequence_length"
    ):
        sampler.check("text", "x" * 64)
    sampler.with_options(max_sequence_length=65).check("text", "x" * 64)
    sampler_of(tiny_kontext(), **KONTEXT).check("text", "x" * 511)
    with pytest.raises(InputError, match="513 tokens and the pipeline reads 512"):
        sampler_of(tiny_kontext(), **KONTEXT).check("text", "x" * 512)
    assert sampler.probe(probe_conditions(), [0, 1, 0, 1]) == [f"tokenizer (CLIPTokenizer) {CUT}"]
    assert sampler.probe(probe_conditions(), [0, 1, 0, 1]) == []  # what was checked is told once
    long = probe_conditions("x" * 50, "y" * 50)
    assert sampler.probe(long, [0, 1, 0, 1]) == [f"tokenizer (CLIPTokenizer) {CUT}"]


@pytest.mark.parametrize("length", [63, 64])
def test_t5_of_flux_reads_as_much_as_is_said(length):
    """The last letter of a text that passes changes an output, that of one refused does not."""
    pipeline = tiny_kontext()
    kept, changed = (
        pipeline.encode_prompt("x" * (length - 1) + end, max_sequence_length=64)[0] for end in "xy"
    )
    assert torch.equal(kept, changed) == (length == 64)


def test_sd3_reads_as_far_as_t5_does():
    pipeline = tiny_sd3()
    sampler = sampler_of(pipeline, num_inference_steps=4)
    sampler.check("text", "x" * 255)
    with pytest.raises(InputError, match="257 tokens and the pipeline reads 256"):
        sampler.check("text", "x" * 256)
    clips = [f"{name} (CLIPTokenizer) {CUT}" for name in ("tokenizer", "tokenizer_2")]
    assert sampler.probe(probe_conditions("x" * 60, "y" * 60), [0, 1, 0, 1]) == clips


def test_a_t5_tokenizer_without_its_encoder_reads_nothing():
    sampler = sampler_of(tiny_sd3(t5=False))
    sampler.check("text", "x" * (TOKENS - 2))
    with pytest.raises(InputError, match="49 tokens and the pipeline reads 48"):
        sampler.check("text", "x" * (TOKENS - 1))


def test_a_second_prompt_takes_the_second_tokenizer_from_the_first():
    pipeline = tiny_kontext()
    fixed = sampler_of(pipeline, prompt_2="a fixed text", **KONTEXT)
    with pytest.raises(InputError, match="52 tokens and the pipeline reads 48"):
        fixed.check("text", "x" * 50)
    sampler_of(pipeline, prompt_2="", **KONTEXT).check("text", "x" * 50)
    inputs = {"image": "image", "text": "prompt", "more": "prompt_2"}
    both = sampler_of(pipeline, inputs=inputs, **KONTEXT)
    both.check("more", "x" * 511)
    with pytest.raises(InputError, match="'more' condition has 513 tokens"):
        both.check("more", "x" * 512)
    with pytest.raises(InputError, match="'text' condition has 52 tokens"):
        both.check("text", "x" * 50)


@pytest.mark.parametrize("probe", [True, False])
def test_options_that_are_cut_are_noted(probe):
    sampler = sampler_of(tiny_instruct_pix2pix(), negative_prompt="x" * 60, probe=probe)
    notes = sampler.probe(probe_conditions(), [0, 1, 0, 1])
    assert notes[-1] == (
        "tokenizer (CLIPTokenizer) reads the first 48 tokens of the option 'negative_prompt' and "
        "cuts off the rest"
    )
    fixed = PipelineSampler(tiny_kontext(), prompt_2="x" * 600, probe=False, **KONTEXT)
    (_, note) = fixed.probe(probe_conditions(), [0, 1, 0, 1])
    assert note.startswith("tokenizer_2 (ByT5Tokenizer) reads the first 512 tokens of the option")


def test_words_of_textual_inversion_count_as_all_their_vectors():
    pipeline = tiny_instruct_pix2pix()
    sampler = sampler_of(pipeline)
    text = "a <cat>" + "x" * 40
    sampler.check("text", text)
    pipeline.tokenizer.add_tokens(["<cat>", *(f"<cat>_{i}" for i in range(1, 8))])
    with pytest.raises(InputError, match=r"5\d tokens and the pipeline reads 48"):
        sampler.check("text", text)


UNKNOWN = "it is not known how much of 'text'"


def test_where_it_cannot_be_known_how_much_is_read_a_note_says_so():
    class Mine(FluxKontextPipeline):
        pass

    kontext = tiny_kontext()
    mine = PipelineSampler(Mine(**kontext.components), probe=False, **KONTEXT)
    seeds = [0, 1, 0, 1]
    assert mine.probe(probe_conditions(), seeds) == ["the pipeline was not probed (probe=False)"]
    mine.check("text", "x" * 600)  # it may be split; nobody knows
    assert [UNKNOWN in note for note in mine.probe(probe_conditions(), seeds)] == [False, True]

    other = tiny_img2img()
    other.tokenizer = ByT5Tokenizer()
    sampler = PipelineSampler(other, probe=False)
    sampler.check("text", "x" * 600)
    (_, note) = sampler.probe(probe_conditions(), seeds)
    assert note.startswith(f"{UNKNOWN} StableDiffusionImg2ImgPipeline reads: a trigger at the end")
    other.tokenizer = None
    assert [UNKNOWN in note for note in sampler.probe(probe_conditions(), seeds)] == [False, True]


def test_no_note_where_no_text_varies():
    pipeline = tiny_img2img()
    pipeline.tokenizer = ByT5Tokenizer()
    sampler = PipelineSampler(pipeline, inputs={"image": "image"}, prompt="a hat", probe=False)
    assert len(sampler.probe({"image": [picture(0)] * 2}, [0, 0])) == 1


def test_a_keyword_without_a_number_goes_to_all_tokenizers():
    reading = Reading(tiny_sd3(), {"max_sequence_length": 64, "negative_prompt_3": "x"})
    assert len(reading.cuts("x" * 70, "prompt", "it")) == 3
    assert len(reading.cuts("x" * 70, "negative_prompt", "it")) == 2
    assert len(reading.cuts("x" * 70, "negative_prompt_3", "it")) == 1


# No false alarms of the probe


@pytest.mark.parametrize(
    ("options", "scheduler", "steps"),
    [
        ({"control_guidance_end": 0.4}, "DDIMScheduler", 3),
        ({"control_guidance_start": 0.8}, "DDIMScheduler", 5),
        ({"control_guidance_start": 0.4, "control_guidance_end": 0.6}, "DDIMScheduler", 5),
        ({"control_guidance_start": [0.0, 0.9], "control_guidance_end": [0.1, 1.0]}, "", 10),
        ({"control_guidance_start": [0.0, 0.3], "control_guidance_end": 0.4}, "", 10),
        ({"control_guidance_end": 0.01}, "DDIMScheduler", 20),
        ({"control_guidance_end": 0.2}, "PNDMScheduler", 4),
        ({"control_guidance_start": 0.5}, "HeunDiscreteScheduler", 2),
        ({"control_guidance_start": 0.5, "control_guidance_end": 0.7}, "HeunDiscreteScheduler", 5),
        ({"control_guidance_end": 0.4, "strength": 0.5}, "DDIMScheduler", 6),
        ({"adapter_conditioning_factor": 0.3}, "DDIMScheduler", 4),
        ({"adapter_conditioning_factor": 0.0}, "DDIMScheduler", 20),
        ({"control_guidance_end": 0.4, "num_inference_steps": 2}, "DDIMScheduler", 2),
        ({"control_guidance_end": 0.4, "num_inference_steps": 1}, "DDIMScheduler", 1),
        ({"num_inference_steps": np.int64(9)}, "DDIMScheduler", 2),
    ],
)
def test_the_probe_takes_the_fewest_steps_in_which_everything_acts(options, scheduler, steps):
    expected = {"num_inference_steps": steps}
    assert few_steps({"num_inference_steps": 20}, options, scheduler) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"control_guidance_start": 0.7},
        {"control_guidance_start": [0.3], "control_guidance_end": [0.5]},
        {"control_guidance_start": 0.34, "control_guidance_end": 0.67, "num_inference_steps": 5},
        {"num_inference_steps": 1},
    ],
)
@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "HeunDiscreteScheduler"])
@NUMPY_2
def test_a_controlnet_that_acts_for_a_while_passes_the_probe(options, scheduler):
    pipeline = tiny_controlnet_pipeline()
    pipeline.scheduler = getattr(diffusers, scheduler)(steps_offset=1)
    sampler = sampler_of(pipeline, **{"num_inference_steps": 10, **options})
    output = sampler({"image": [picture(0)], "text": ["hat"]}, [0])
    if torch.equal(output, sampler({"image": [picture(1)], "text": ["hat"]}, [0])):
        pytest.skip("it never acts")
    notes = sampler.probe(probe_conditions(), [0, 1, 0, 1])
    assert [note for note in notes if "batching moves" not in note] == []  # rounding, by machine


def test_a_controlnet_that_never_acts_is_named_with_a_way_round():
    sampler = sampler_of(
        tiny_controlnet_pipeline(), num_inference_steps=3, control_guidance_end=0.2
    )
    with pytest.raises(SamplerError, match=r"ignores the modality 'image'.* probe=False\)"):
        sampler.probe(probe_conditions(), [0, 1, 0, 1])


class ActsLate(PassesOn):
    """Its text acts where there are many steps, for a reason of its own."""

    def alter(self, kwargs: dict[str, Any]) -> None:
        if kwargs["num_inference_steps"] < 6:
            kwargs["prompt"] = ["a hat"] * len(kwargs["prompt"])


class NeedsSteps(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        if kwargs["num_inference_steps"] < 6:
            raise ValueError("too few steps")


@pytest.mark.parametrize("cls", [ActsLate, NeedsSteps])
def test_what_few_steps_do_not_show_the_steps_of_the_run_do(cls):
    pipeline = tiny_instruct_pix2pix(cls=cls)
    sampler = sampler_of(pipeline, num_inference_steps=6)
    assert sampler.probe(probe_conditions(), [0, 1, 0, 1]) == []
    with pytest.raises((SamplerError, ValueError)):
        sampler_of(pipeline, num_inference_steps=5).probe(probe_conditions(), [0, 1, 0, 1])


class Random(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["guidance_scale"] = 2 + 50 * np.random.default_rng().random()


class SameImage(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["image"] = [picture(7)] * len(kwargs["image"])


class CutsText(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        kwargs["prompt"] = [text[:5] for text in kwargs["prompt"]]


class NotFinite(PassesOn):
    def alter(self, kwargs: dict[str, Any]) -> None:
        self.vae.post_quant_conv.weight.data.fill_(torch.nan)


@pytest.mark.parametrize("cls", [Random, SameImage, CutsText, NotFinite])
def test_every_refusal_of_the_probe_names_the_ways_round_it(cls):
    pipeline = tiny_instruct_pix2pix(cls=cls)
    with pytest.raises(SamplerError) as error:
        sampler_of(pipeline).probe(probe_conditions(), [0, 1, 0, 1])
    ways = ("load the pipeline in", "Choose a scheduler", "leave it out of inputs=", "move it")
    assert any(way in str(error.value) for way in ways)
    assert str(error.value).endswith("probe=False) leaves out the look that found it")
    assert len(sampler_of(pipeline, probe=False).probe(probe_conditions(), [0, 1, 0, 1])) == 1


# Numbers


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (tiny_img2img, {"num_inference_steps": 0}, "a whole number of at least 1, got 0"),
        (tiny_img2img, {"num_inference_steps": 2.5}, "a whole number of at least 1, got 2.5"),
        (tiny_img2img, {"num_inference_steps": True}, "of at least 1, got True"),
        (tiny_img2img, {"num_inference_steps": "20"}, "'num_inference_steps' must be a whole"),
        (tiny_img2img, {"num_inference_steps": None}, "of at least 1, got None"),
        (tiny_img2img, {"num_inference_steps": [20]}, r"of at least 1, got \[20\]"),
        (tiny_img2img, {"guidance_scale": "7"}, "must be a number as its default 7.5 is, got str"),
        (tiny_img2img, {"guidance_scale": True}, "got bool True"),
        (tiny_img2img, {"guidance_scale": [7.5]}, "got list"),
        (tiny_img2img, {"guidance_scale": float("nan")}, "got float nan"),
        (tiny_img2img, {"strength": None}, "'strength' must be a number"),
        (tiny_img2img, {"strength": 1.2}, r"'strength' must be a number in \[0, 1\], got 1.2"),
        (tiny_img2img, {"strength": -0.1}, r"in \[0, 1\], got -0.1"),
        (tiny_img2img, {"eta": "0"}, "'eta' must be a number"),
        (tiny_instruct_pix2pix, {"image_guidance_scale": "2"}, "image_guidance_scale of at least"),
        (tiny_kontext, {"true_cfg_scale": None}, "'true_cfg_scale' must be a number"),
        (tiny_kontext, {"max_sequence_length": "64"}, "must be a number as its default 512 is"),
        (tiny_controlnet_pipeline, {"control_guidance_end": "1"}, "must be a number"),
        (tiny_controlnet_pipeline, {"control_guidance_start": ["0"]}, "must be a number"),
        (tiny_controlnet_pipeline, {"controlnet_conditioning_scale": True}, "must be a number"),
    ],
)
def test_options_that_are_no_numbers_are_refused_at_once(make, options, message):
    pipeline = make()
    with pytest.raises(InputError, match=message):
        PipelineSampler(pipeline, **options)
    with pytest.raises(InputError, match=message):
        PipelineSampler(pipeline).with_options(**options)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (tiny_img2img, {"num_inference_steps": np.int64(3)}),
        (tiny_img2img, {"num_inference_steps": None, "timesteps": [900, 500, 1]}),
        (tiny_img2img, {"guidance_scale": 7, "strength": np.float32(0.5)}),
        (tiny_img2img, {"guidance_scale": torch.tensor(7.5)}),
        (tiny_img2img, {"eta": None}),
        (tiny_img2img, {"strength": 1, "clip_skip": None}),
        (tiny_instruct_pix2pix, {"guidance_scale": np.float64(3), "image_guidance_scale": 1}),
        (tiny_controlnet_pipeline, {"control_guidance_end": [0.5]}),
        (tiny_kontext, {"sigmas": [1.0, 0.5], "num_inference_steps": None}),
    ],
)
def test_numbers_of_every_kind_pass(make, options):
    PipelineSampler(make(), **options)


@pytest.mark.parametrize("make", [tiny_img2img, tiny_controlnet_pipeline, tiny_kontext])
def test_the_defaults_of_a_pipeline_pass_as_options(make):
    pipeline = make()
    parameters = inspect.signature(pipeline.__call__).parameters.values()
    numbers = {p.name: p.default for p in parameters if isinstance(p.default, int | float)}
    own = {"return_dict", "num_images_per_prompt", "num_videos_per_prompt"}
    PipelineSampler(pipeline, **{name: numbers[name] for name in numbers.keys() - own})


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "0", None, True, np.float64(2), np.True_])
def test_seeds_are_whole_numbers_of_63_bits(seed):
    sampler = sampler_of(tiny_instruct_pix2pix())
    with pytest.raises(InputError, match="a seed of PipelineSampler must be a whole number from 0"):
        sampler(rows(0), [seed])


def test_seeds_may_come_from_numpy_and_torch():
    sampler = sampler_of(tiny_instruct_pix2pix())
    expected = sampler(rows(0, 1), [3, 4])
    for seeds in (np.array([3, 4]), torch.tensor([3, 4]), (np.uint64(3), 4), range(3, 5)):
        assert torch.equal(sampler(rows(0, 1), seeds), expected)
