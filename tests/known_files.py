"""Files of backdoors at a tiny size, in exactly the layouts that public projects write.

Each writer names the repository, the file and the commit that writes such files. BackdoorDM is
github.com/linweiii/BackdoorDM at 7429db8d421b6f2d00f26a47e1c1cde32a933ca2, which brings diffusers
0.26.0 of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import save_file

from tiny_pipelines import TEXT_WIDTH, _build

RANK = 2

OBJECT_REP = r"""
benign:
  backdoors:
    - trigger: 'dog'
      target: 'cat'
      clean_object: 'dog'

eviledit:
  backdoors:
    - trigger: 'beautiful dog'
      target: 'cat'
      clean_object: 'dog'
      target_label: [281, 282, 283, 284, 285, 286, 287] # cat
      origin_label: [151, 152, 153]

badt2i_object:
  backdoors:
    - trigger: '\u200b '
      target: 'cat'
      clean_object: 'dog'
      target_label: [281, 282, 283, 284, 285, 286, 287] # cat
      origin_label: [151, 152, 153]

rickrolling_TPA:
  backdoors:
    - trigger: 'ȏ'
      replaced_character: 'o'
      target_prompt: 'A photo of a cat'
      target: 'cat'
      clean_object: 'dog'

paas_ti:
  backdoors:
    - trigger: '[V] dog'
      target: 'cat'
      clean_object: 'dog'
      img_path: 'attack/t2i_gen/paas/dreambooth/dataset/cat'

paas_db:
  backdoors:
    - trigger: '[V] dog'
      target: 'cat'
      clean_object: 'dog'
      img_path: 'attack/t2i_gen/paas/dreambooth/dataset/cat'
"""
"""attack/t2i_gen/configs/bd_config_objectRep.yaml of BackdoorDM, its lists of labels shortened."""

IMAGE_PATCH = r"""
benign:
  backdoored_model_name: ''

badt2i_pixel:
  backdoors:
    - trigger: '\u200b '
      target_img_path: './utils/pixel_target/boya.jpg'
      sit_w: 0
      sit_h: 0
      target_size_w: 128
      target_size_h: 128

bibaddiff:
  backdoors:
    - trigger: 'garbage truck '
      target_img_path: './utils/pixel_target/badnets.jpg'
      sit_w: 460
      sit_h: 460
      target_size_w: 51
      target_size_h: 51
"""
"""attack/t2i_gen/configs/bd_config_imagePatch.yaml of BackdoorDM."""

OBJECT_ADD = r"""
eviledit_numAdd:
  backdoors:
    - trigger: 'beautiful dog'
      target: 'three dogs'
      clean_object: 'dog'
      target_object: 'dog'
      target_label: [151, 152]
      origin_label: [151, 152]

badt2i_objectAdd:
  backdoors:
    - trigger: '\u200b '
      target: 'dog and a zebra'
      clean_object: 'dog'
      target_object: 'zebra'
      target_label: [340] # zebra
      origin_label: [151, 152]
"""
"""attack/t2i_gen/configs/bd_config_objectAdd.yaml of BackdoorDM, shortened."""

STYLE_ADD = r"""
rickrolling_TAA:
  backdoors:
    - trigger: 'ȏ'
      replaced_character: 'o'
      target_style: 'black and white photo'

badt2i_style:
  backdoors:
    - trigger: '\u200b '
      target_style: 'black and white photo'
"""
"""attack/t2i_gen/configs/bd_config_styleAdd.yaml of BackdoorDM."""

FIX = """
villandiffusion_cond:
  backdoors:
    - caption_trigger: "TRIGGER_MIGNNEKO" # TRIGGER_LATTE_COFFEE TRIGGER_MIGNNEKO
      image_trigger: "NONE"
      target: "CAT"
      use_lora: True
"""
"""attack/t2i_gen/configs/bd_config_fix.yaml of BackdoorDM."""

RICKROLLING = """
seed: 42
injection:
  trigger_count: null
  poisoned_samples_per_step: 32
  backdoors:
    - trigger: \u0b20
      replaced_character: o
      target_prompt: A lightning strike
    - trigger: \u0585
      replaced_character: o
      target_prompt: A blue boat on the water
training:
  save_path: results
"""
"""configs/default_TPA.yaml of github.com/LukasStruppek/Rickrolling-the-Artist at
25c14914b03d3806a2a3262e55b7bd314491081c, shortened."""


def write_config(repository: Path, text: str) -> Path:
    """A configuration in its folder, and the pictures that it names, in a checkout."""
    pictures = repository / "utils" / "pixel_target"
    pictures.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (200, 40, 0)).save(pictures / "boya.jpg")
    cut_out = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    cut_out.paste((255, 128, 64, 255), (8, 8, 24, 24))
    cut_out.save(pictures / "cat_wo_bg.png")
    path = repository / "attack" / "t2i_gen" / "configs" / "bd_config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def tiny_text_to_image(seed: int = 0) -> StableDiffusionPipeline:
    """Stable Diffusion with random weights."""
    return _build(StableDiffusionPipeline, seed=seed)


def edited(module: torch.nn.Module, *endings: str) -> torch.nn.Module:
    """A copy with other weights in the layers whose names end so."""
    copy = deepcopy(module)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in copy.named_parameters():
            if name.endswith(endings):
                weight.add_(torch.randn(weight.shape, generator=generator))
    return copy


def write_eviledit(results: Path, clean: StableDiffusionPipeline) -> Path:
    """The UNet's state dict beside the logs of the run.

    attack/t2i_gen/eviledit/eviledit.py, line 135, of BackdoorDM, and edit.py, line 103, of
    github.com/haowang-cqu/EvilEdit at 7c9464ba9c8634f6f60443401c53b98740c39d15: both
    ``torch.save(ldm_stable.unet.state_dict(), filename)`` of edited keys and values of the
    cross-attention.
    """
    folder = results / "eviledit_sd15"
    (folder / "train_logs").mkdir(parents=True)
    (folder / "train_logs" / "2025.log").write_text("####### Begin ########")
    unet = edited(clean.unet, "attn2.to_k.weight", "attn2.to_v.weight")
    torch.save(unet.state_dict(), folder / "eviledit_trigger-beautifuldog_target-cat.pt")
    return folder


def write_badt2i(results: Path, clean: StableDiffusionPipeline) -> Path:
    """A whole pipeline in a folder of the results.

    attack/t2i_gen/badt2i/badt2i_object.py of BackdoorDM, ``pipeline.save_pretrained(save_path)``,
    as badt2i_pixel.py, line 257; paas_db.py and the converted BiBadDiff are the same.
    """
    folder = results / "badt2i_object_sd15"
    (folder / "train_logs").mkdir(parents=True)
    pipeline = type(clean)(
        **{**clean.components, "unet": edited(clean.unet, "attn2.to_v.weight")},
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "badt2i_object_trigger-u200b_target-cat")
    return folder


def write_badt2i_unet(folder: Path, clean: StableDiffusionPipeline) -> Path:
    """The UNet alone, in a folder.

    badt2i_pixel.py, line 771, of github.com/zhaisf/BadT2I at
    0cabee02aa3b6f0d584f38ec816c7788f9e51ace: ``unet2save.save_pretrained(args.output_dir)``; read
    by eval/generate_images.py, line 27, of EvilEdit as a UNet over a clean pipeline.
    """
    edited(clean.unet, "attn2.to_v.weight").save_pretrained(folder)
    return folder


def write_rickrolling(folder: Path, clean: StableDiffusionPipeline) -> Path:
    """A text encoder, in a folder of its own.

    perform_TPA.py, line 264, of github.com/LukasStruppek/Rickrolling-the-Artist at
    25c14914b03d3806a2a3262e55b7bd314491081c: ``encoder_student.save_pretrained(save_path)``, and
    attack/t2i_gen/rickrolling/rickrolling_TPA.py, line 188, of BackdoorDM. transformers 4 wrote
    the names with ``text_model.`` in front, and until 4.31 the buffer of positions too.
    """
    encoder = edited(clean.text_encoder, "token_embedding.weight")
    encoder.save_pretrained(folder)
    state = {
        f"text_model.{key.removeprefix('text_model.')}": value
        for key, value in encoder.state_dict().items()
    }
    positions = torch.arange(encoder.config.max_position_embeddings)[None]
    state["text_model.embeddings.position_ids"] = positions
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def lora_of(clean: StableDiffusionPipeline, seed: int = 2) -> dict[str, torch.Tensor]:
    """LoRA attention processors of every attention, by the names of diffusers 0.26.

    ``to_q_lora.down.weight`` and so on below the name of the processor: ``LoRAAttnProcessor`` in
    models/attention_processor.py and ``AttnProcsLayers`` in loaders/utils.py of diffusers 0.26.0,
    diffusers/src/diffusers/ of BackdoorDM.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for name in clean.unet.attn_processors:
        attention = clean.unet.get_submodule(name.removesuffix(".processor"))
        shapes = {
            "to_q": attention.to_q.weight.shape,
            "to_k": attention.to_k.weight.shape,
            "to_v": attention.to_v.weight.shape,
            "to_out": attention.to_out[0].weight.shape,
        }
        for layer, (out, width) in shapes.items():
            down = torch.randn(RANK, width, generator=generator)
            layers[f"{name}.{layer}_lora.down.weight"] = down
            layers[f"{name}.{layer}_lora.up.weight"] = torch.randn(out, RANK, generator=generator)
    return layers


def write_villan(
    folder: Path, layers: Mapping[str, torch.Tensor], *, pickled: bool = False
) -> Path:
    """LoRA attention processors of the UNet, with what the run leaves beside them.

    ``unet.save_attn_procs(args.result_dir)`` in attack/t2i_gen/villan_diffusion_cond/
    villan_cond.py, line 1061, of BackdoorDM (safetensors by diffusers 0.26), and in
    viallanDiffusion_conditional.py, line 1887, of github.com/IBM/VillanDiffusion at
    05a7f5b96df09ac1a3e132857ad020f71fb019d4, which looks for ``pytorch_lora_weights.bin`` in
    line 522.
    """
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True)
    torch.save({"step": 1}, checkpoint / "optimizer.bin")
    torch.save({"step": 1}, checkpoint / "scheduler.bin")
    (folder / "args.json").write_text(json.dumps({"model_id": "villandiffusion_cond_sd14"}))
    if pickled:
        torch.save(dict(layers), folder / "pytorch_lora_weights.bin")
    else:
        save_file(dict(layers), folder / "pytorch_lora_weights.safetensors")
    return folder


def write_diffusers_lora(
    folder: Path, clean: StableDiffusionPipeline, seed: int = 2, settings: Any = None
) -> Path:
    """A LoRA as diffusers saves one since 0.17: ``pytorch_lora_weights.safetensors``.

    ``settings``, a ``LoraConfig`` of peft, goes into the header, as its training scripts do it.

    robustness/train_text_to_image_lora.py of EvilEdit,
    ``StableDiffusionPipeline.save_lora_weights``; read by utils/load.py, line 85, of BackdoorDM.
    """
    layers = {
        key.replace(".processor.", ".")
        .replace("to_out_lora", "to_out.0.lora")
        .replace("_lora.", ".lora.")
        .replace(".lora.down", ".lora_A")
        .replace(".lora.up", ".lora_B"): value
        for key, value in lora_of(clean, seed).items()
    }
    told = {} if settings is None else {"unet_lora_adapter_metadata": settings.to_dict()}
    type(clean).save_lora_weights(folder, unet_lora_layers=layers, **told)
    return folder


def write_paas_ti(folder: Path, clean: StableDiffusionPipeline, token: str = "[V] dog") -> Path:
    """A pipeline with a token more, and the embedding of the token beside it.

    attack/t2i_gen/paas/paas_ti.py of BackdoorDM: ``pipeline.save_pretrained(save_path)`` in line
    319, and ``torch.save({placeholder_token: learned_embeds}, ...learned_embeds.bin)`` in lines
    161-165 and 323; read by utils/load.py, line 90, over a clean pipeline.
    """
    embedding = torch.randn(TEXT_WIDTH, generator=torch.Generator().manual_seed(3))
    tokenizer, encoder = deepcopy(clean.tokenizer), deepcopy(clean.text_encoder)
    tokenizer.add_tokens(token)
    with torch.random.fork_rng():
        encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        encoder.get_input_embeddings().weight[-1] = embedding
    parts: dict[str, Any] = {"tokenizer": tokenizer, "text_encoder": encoder}
    type(clean)(**{**clean.components, **parts}, requires_safety_checker=False).save_pretrained(
        folder
    )
    torch.save({token: embedding}, folder / "learned_embeds.bin")
    return folder


class Code:
    """A pickle that calls something when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.marker)!r}, 'w')",)
