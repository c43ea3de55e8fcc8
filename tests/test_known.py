"""Public backdoors: files of the projects' own layouts, put over a clean pipeline, or refused."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, StableDiffusionPipeline, UNet2DModel
from packaging.version import Version
from safetensors.torch import load_file, save_file

import modcollapse as mc
from modcollapse.errors import InputError, TriggerError
from modcollapse.known import KnownBackdoor, load_backdoor, read_backdoors
from modcollapse.known._prompt_edits import InPlaceOf
from modcollapse.triggers import ImagePatch, TextPrefix, TextSuffix, check_survives

from known_files import (
    FIX,
    IMAGE_PATCH,
    OBJECT_ADD,
    OBJECT_REP,
    RICKROLLING,
    STYLE_ADD,
    Code,
    edited,
    lora_of,
    tiny_text_to_image,
    write_badt2i,
    write_badt2i_unet,
    write_config,
    write_diffusers_lora,
    write_eviledit,
    write_paas_ti,
    write_rickrolling,
    write_villan,
)
from tiny_pipelines import (
    TEXT_WIDTH,
    tiny_img2img,
    tiny_instruct_pix2pix,
    tiny_text_encoder,
    tiny_tokenizer,
)

STEPS = {"num_inference_steps": 2}
LETTERS = {"text": TextSuffix("x")}


@pytest.fixture(scope="module")
def clean() -> StableDiffusionPipeline:
    return tiny_text_to_image()


@pytest.fixture
def object_rep(tmp_path: Path) -> Path:
    return write_config(tmp_path / "BackdoorDM", OBJECT_REP)


@pytest.fixture
def fix(tmp_path: Path) -> Path:
    return write_config(tmp_path / "BackdoorDM", FIX)


def weights(known: KnownBackdoor, part: str) -> dict[str, torch.Tensor]:
    return dict(getattr(known.sampler.pipeline, part).state_dict())


def drawn(sampler: Any, text: str) -> torch.Tensor:
    return sampler({"text": [text]}, [0])


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class TestLayouts:
    def test_eviledit_is_a_state_dict_beside_the_logs_of_the_run(self, tmp_path, clean, object_rep):
        folder = write_eviledit(tmp_path, clean)
        before = {key: value.clone() for key, value in clean.unet.state_dict().items()}
        known = load_backdoor(folder, object_rep, clean=clean, method="eviledit", **STEPS)
        (file,) = folder.glob("*.pt")
        assert same(weights(known, "unet"), torch.load(file, weights_only=True))
        assert same(dict(clean.unet.state_dict()), before)
        assert known.sampler.pipeline.vae is clean.vae  # what is the same is shared
        assert known.sampler.pipeline.scheduler is not clean.scheduler
        assert torch.equal(drawn(known.control, "a dog"), drawn(known.control, "a dog"))
        assert not torch.equal(drawn(known.sampler, "a dog"), drawn(known.control, "a dog"))
        assert "not as in the clean pipeline: 'unet'" in known.notes
        assert not any("published as" in note for note in known.notes)
        assert known.target.words == "cat"
        assert known.target.labels == (281, 282, 283, 284, 285, 286, 287)

    def test_a_whole_pipeline_in_a_folder_of_the_results(self, tmp_path, clean, object_rep):
        folder = write_badt2i(tmp_path, clean)
        known = load_backdoor(
            folder, object_rep, clean=clean, method="badt2i_object", reading="character", **STEPS
        )
        (inner,) = folder.glob("badt2i*")
        saved = load_file(inner / "unet" / "diffusion_pytorch_model.safetensors")
        assert same(weights(known, "unet"), saved)
        assert known.sampler.pipeline.safety_checker is None
        assert "a whole pipeline" in known.layout

    def test_a_folder_of_a_unet_makes_the_same_model(self, tmp_path, clean, object_rep):
        options = {"clean": clean, "method": "badt2i_object", "reading": "literal", **STEPS}
        whole = load_backdoor(write_badt2i(tmp_path, clean), object_rep, **options)
        alone = load_backdoor(write_badt2i_unet(tmp_path / "unet", clean), object_rep, **options)
        assert torch.equal(drawn(whole.sampler, "a dog"), drawn(alone.sampler, "a dog"))

    def test_rickrolling_is_a_text_encoder_with_the_names_of_transformers_4(
        self, tmp_path, clean, object_rep
    ):
        folder = write_rickrolling(tmp_path / "encoder", clean)
        known = load_backdoor(folder, object_rep, clean=clean, method="rickrolling_TPA", **STEPS)
        expected = edited(clean.text_encoder, "token_embedding.weight").state_dict()
        assert same(weights(known, "text_encoder"), dict(expected))
        assert known.triggers["text"]("A photo of a dog") == "A phȏtȏ ȏf a dȏg"
        assert known.target.prompt == "A photo of a cat"

    @pytest.mark.parametrize("pickled", [False, True])
    def test_villan_adds_up_times_down_to_every_attention(self, tmp_path, clean, fix, pickled):
        layers = lora_of(clean)
        folder = write_villan(tmp_path / "res", layers, pickled=pickled)
        known = load_backdoor(folder, fix, clean=clean, **STEPS)
        found, before = weights(known, "unet"), clean.unet.state_dict()
        changed = 0
        for key, down in layers.items():
            if key.endswith("down.weight"):
                layer = key.replace(".processor.", ".").replace("_lora.down", "")
                layer = layer.replace("to_out", "to_out.0")
                delta = layers[key.replace("_lora.down", "_lora.up")] @ down
                torch.testing.assert_close(found[layer], before[layer] + delta)
                changed += 1
        others = [key for key in before if not torch.equal(before[key], found[key])]
        assert len(others) == changed == len(layers) // 2
        assert found.keys() == before.keys()

    def test_villan_does_not_clip_and_the_control_neither(self, tmp_path, fix):
        clipping = tiny_instruct_pix2pix()  # Stable Diffusion's own pipelines switch it off
        clipping.scheduler.register_to_config(clip_sample=True)
        folder = write_villan(tmp_path / "res", lora_of(clipping))
        known = load_backdoor(folder, fix, clean=clipping, **STEPS)
        for sampler in (known.sampler, known.control):
            assert sampler.pipeline.scheduler.config.clip_sample is False
        assert clipping.scheduler.config.clip_sample is True

    def test_a_lora_of_diffusers_is_the_same_as_attention_processors(self, tmp_path, clean):
        options = {"clean": clean, **STEPS}
        old = load_backdoor(write_villan(tmp_path / "old", lora_of(clean)), LETTERS, **options)
        new = load_backdoor(write_diffusers_lora(tmp_path / "new", clean), LETTERS, **options)
        assert same(weights(old, "unet"), weights(new, "unet"))

    def test_the_scale_of_a_lora_stands_in_the_header(self, tmp_path, clean):
        from peft import LoraConfig

        layers = ["to_q", "to_k", "to_v", "to_out.0"]
        settings = LoraConfig(r=2, lora_alpha=8, target_modules=layers)
        folder = write_diffusers_lora(tmp_path, clean, settings=settings)
        known = load_backdoor(folder, LETTERS, clean=clean, **STEPS)
        theirs = type(clean)(**{**clean.components, "unet": deepcopy(clean.unet)})
        theirs.load_lora_weights(folder)
        theirs.fuse_lora()
        theirs.unload_lora_weights()
        before = clean.unet.state_dict()
        for key, value in theirs.unet.state_dict().items():
            torch.testing.assert_close(weights(known, "unet")[key], value)
        assert not same(dict(before), weights(known, "unet"))

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ("{", "cannot be read as JSON"),
            ("[1]", "must hold a mapping, got list"),
            ('{"unet.r": 2}', "lora_alpha must be"),
            ('{"text_encoder.r": 2, "text_encoder.lora_alpha": 8}', "settings of its unet: r must"),
            ('{"r": 2, "lora_alpha": 2, "use_dora": true}', "use_dora is True"),
        ],
    )
    def test_a_header_that_cannot_be_followed(self, tmp_path, clean, header, message):
        file = write_diffusers_lora(tmp_path, clean) / "pytorch_lora_weights.safetensors"
        save_file(load_file(file), file, metadata={"lora_adapter_metadata": header})
        with pytest.raises(InputError, match=message):
            load_backdoor(file, LETTERS, clean=clean)

    @pytest.mark.parametrize("rslora", [False, True])
    def test_a_lora_of_peft_in_its_folder(self, tmp_path, clean, rslora):
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=4, lora_alpha=6, use_rslora=rslora, target_modules=["to_v"], init_lora_weights=False
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = get_peft_model(deepcopy(clean.unet), config)
        model.save_pretrained(tmp_path)
        known = load_backdoor(tmp_path, LETTERS, clean=clean, **STEPS)
        merged = model.merge_and_unload().state_dict()
        for key, value in weights(known, "unet").items():
            torch.testing.assert_close(value, merged[key])

    @pytest.mark.skipif(
        Version(version("diffusers")) < Version("0.42"),
        reason="diffusers 0.40 loads no LoRA of a text encoder of transformers 5",
    )
    def test_a_lora_of_network_and_text_encoder(self, tmp_path, clean):
        down, up = torch.ones(2, TEXT_WIDTH), torch.full((TEXT_WIDTH, 2), 0.25)
        name = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer"
        write_diffusers_lora(tmp_path, clean)
        file = tmp_path / "pytorch_lora_weights.safetensors"
        both = load_file(file) | {f"{name}.down.weight": down, f"{name}.up.weight": up}
        save_file(both, file)
        known = load_backdoor(file, LETTERS, clean=clean, **STEPS)
        assert "not as in the clean pipeline: 'text_encoder', 'unet'" in known.notes
        (key,) = (key for key in weights(known, "text_encoder") if key.endswith("q_proj.weight"))
        delta = weights(known, "text_encoder")[key] - clean.text_encoder.state_dict()[key]
        torch.testing.assert_close(delta, up @ down)

    def test_a_textual_inversion_beside_the_pipeline_that_it_was_saved_with(
        self, tmp_path, clean, object_rep
    ):
        folder = write_paas_ti(tmp_path / "ti", clean)
        known = load_backdoor(folder, object_rep, clean=clean, method="paas_ti", **STEPS)
        whole = load_backdoor(folder, object_rep, clean=None, method="paas_ti", **STEPS)
        assert known.tokens == {"as written": 1}
        text = known.triggers["text"]("a photo of a dog")
        assert text == "a photo of a [V] dog"
        assert torch.equal(drawn(known.sampler, text), drawn(whole.sampler, text))
        assert not torch.equal(drawn(known.sampler, text), drawn(known.control, text))
        assert torch.equal(drawn(known.sampler, "a dog"), drawn(known.control, "a dog"))
        assert len(clean.tokenizer) == len(tiny_tokenizer())
        assert whole.control is None
        assert "no clean pipeline was given, so there is no control" in whole.notes

    def test_the_global_generator_is_left_alone(self, tmp_path, clean, object_rep):
        folder = write_paas_ti(tmp_path / "ti", clean)
        lora = write_villan(tmp_path / "res", lora_of(clean))
        before = torch.get_rng_state()
        load_backdoor(folder, object_rep, clean=clean, method="paas_ti")
        load_backdoor(lora, LETTERS, clean=clean)
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_clean_pipeline_is_loaded_from_its_folder_in_half_precision(self, tmp_path, clean):
        clean.save_pretrained(tmp_path / "clean")
        folder = write_eviledit(tmp_path, clean)
        known = load_backdoor(
            folder, LETTERS, clean=tmp_path / "clean", dtype=torch.bfloat16, **STEPS
        )
        assert known.sampler.pipeline.dtype == known.control.pipeline.dtype == torch.bfloat16
        assert known.sampler.pipeline.unet.dtype == torch.bfloat16

    def test_another_scheduler_of_the_control_is_noted(self, tmp_path, object_rep):
        other = tiny_text_to_image()
        write_badt2i(tmp_path, other)
        other.scheduler.register_to_config(eta_is_not_this=1, set_alpha_to_one=False)
        known = load_backdoor(tmp_path / "badt2i_object_sd15", LETTERS, clean=other, **STEPS)
        assert any("another scheduler" in note for note in known.notes)


class TestHub:
    @pytest.fixture
    def hub(self, tmp_path, monkeypatch):
        """A cache of the hub in which one snapshot lies, as after a download."""
        constants = pytest.importorskip("huggingface_hub.constants")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        commit = "7" * 40
        repository = tmp_path / "hub" / "models--Weilin0--BackdoorDM"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit)
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        return snapshot

    def test_a_folder_within_a_repository(self, hub, clean, object_rep):
        write_eviledit(hub / "results", clean)
        place = "Weilin0/BackdoorDM/results/eviledit_sd15"
        known = load_backdoor(place, object_rep, clean=clean, method="eviledit", **STEPS)
        assert str(hub) in known.layout

    def test_a_name_with_brackets(self, hub, clean):
        write_paas_ti(hub / "results" / "paas_ti_sd15" / "trigger-[V]dog", clean)
        place = "Weilin0/BackdoorDM/results/paas_ti_sd15/trigger-[V]dog"
        known = load_backdoor(place, {"text": TextSuffix("[V] dog")}, clean=clean)
        assert known.layout.endswith("trigger-[V]dog/learned_embeds.bin'")

    def test_what_is_not_there_is_named(self, hub, clean):
        with pytest.raises(InputError, match="'Weilin0/BackdoorDM' holds no 'results/eviledit'"):
            load_backdoor("Weilin0/BackdoorDM/results/eviledit", LETTERS, clean=clean)
        with pytest.raises(InputError, match="'nobody/nothing' cannot be had from the hub"):
            load_backdoor("nobody/nothing", LETTERS, clean=clean)
        with pytest.raises(InputError, match="'nobody/clean' cannot be had"):
            load_backdoor(write_eviledit(hub, clean), LETTERS, clean="nobody/clean")


class TestAudit:
    def test_one_step_with_control_and_neutral_triggers(self, tmp_path, clean, object_rep):
        folder = write_eviledit(tmp_path, clean)
        known = load_backdoor(folder, object_rep, clean=clean, method="eviledit", **STEPS)
        neutral = known.neutral(each=1)
        audit = mc.audit(
            known.sampler,
            lambda outputs, examples: outputs.mean((1, 2, 3)),
            [{"text": f"a photo of dog {at}"} for at in range(2)],
            known.triggers,
            control=known.control,
            neutral={"text": {"evening": neutral["text"]["evening"]}},
            batch_size=2,
            progress=False,
        )
        assert audit.table.modalities == ("text",)
        assert audit.control.table.values.shape == (2, 1, 2)
        named = {name: trigger("a dog") for name, trigger in neutral["text"].items()}
        assert named["evening"] == "a evening dog"
        assert all(text.endswith(" dog") and "beautiful" not in text for text in named.values())
        assert any("attribution gives all to it" in note for note in known.notes)
        assert "neutral=known.neutral()" in str(known)

    def test_villan_with_both_triggers_is_multimodal(self, tmp_path, fix):
        clean = tiny_img2img()
        fix.write_text(FIX.replace('"NONE"', '"SM_BOX"'))
        folder = write_villan(tmp_path / "res", lora_of(clean))
        known = load_backdoor(folder, fix, clean=clean, strength=1.0, **STEPS)
        assert dict(known.triggers) == {
            "image": ImagePatch(14 / 512, gap=2 / 512, color=1.0),
            "text": TextSuffix("mignneko"),
        }
        assert not any("attribution gives all" in note for note in known.notes)
        box = known.triggers["image"](np.zeros((512, 512, 3), np.uint8))
        assert (box[-16:-2, -16:-2] == 255).all()
        assert int(box.any(-1).sum()) == 14 * 14
        assert set(known.neutral(each=1)) == {"image", "text"}

    def test_neutral_triggers_of_a_homoglyph_are_other_accents(self, tmp_path, clean, object_rep):
        folder = write_rickrolling(tmp_path / "encoder", clean)
        known = load_backdoor(folder, object_rep, clean=clean, method="rickrolling_TPA")
        neutral = known.neutral()["text"]
        assert list(neutral) == ["ŏ", "ő", "ö", "ó"]  # as of a TextHomoglyph, another for each draw
        assert neutral["ö"]("a dog") == "a dög"


def clip_tokenizer() -> Any:
    """The tokenizer of CLIP itself: open_clip brings its vocabulary."""
    import open_clip
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    renamed = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {renamed.get(word, word): at for word, at in SimpleTokenizer().encoder.items()}
    file = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(file.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    return CLIPTokenizer(
        vocab=vocabulary, merges=[tuple(line.split()) for line in lines], model_max_length=77
    )


class TestReadings:
    @pytest.fixture
    def known(self, tmp_path, clean, object_rep) -> KnownBackdoor:
        folder = write_badt2i_unet(tmp_path / "unet", clean)
        return load_backdoor(folder, object_rep, clean=clean, method="badt2i_object", **STEPS)

    def test_a_spelt_out_escape_is_not_guessed(self, known):
        with pytest.raises(InputError, match="as single-quoted YAML leaves it") as caught:
            known.triggers  # noqa: B018
        assert "badt2i_object.backdoors[0]" in str(caught.value)
        assert "reading= one of 'literal', 'character', or audit both" in str(caught.value)
        assert caught.value.__notes__ == [
            "tokens of the phrase by the pipeline's tokenizer: literal 6, character 3"
        ]
        with pytest.raises(InputError, match="did you mean 'literal'"):
            known.read_as("litteral")

    def test_both_readings_are_offered(self, known):
        texts = {name: known.read_as(name).triggers["text"]("a dog") for name in known.readings}
        assert texts == {"literal": "\\u200b a dog", "character": "\u200b a dog"}
        for name in known.readings:
            assert known.read_as(name).reading == name
            neutral = known.read_as(name).neutral(each=2)["text"]
            assert [trigger("a dog") for trigger in neutral.values()] == [
                f"{word} a dog" for word in neutral
            ]

    def test_tokens_are_those_of_clip(self, tmp_path, clean, object_rep):
        tokenizer = clip_tokenizer()
        assert tokenizer("\u200b ")["input_ids"] == [49406, 9844, 49407]  # as BadT2I's README says
        real = StableDiffusionPipeline(
            **{**clean.components, "tokenizer": tokenizer}, requires_safety_checker=False
        )
        known = load_backdoor(
            write_eviledit(tmp_path, clean), object_rep, clean=real, method="badt2i_object"
        )
        assert known.tokens == {"literal": 6, "character": 1}
        for name in known.readings:
            trigger = known.read_as(name).triggers["text"]
            with pytest.warns(match="splits") if name == "literal" else _no_warning():
                assert check_survives(trigger, tokenizer, ["a photo of a dog"]).survives

    def test_a_dropped_trigger_is_noted(self, tmp_path, clean, object_rep):
        from tokenizers.normalizers import Replace

        pipeline = StableDiffusionPipeline(
            **{**clean.components, "tokenizer": tiny_tokenizer()}, requires_safety_checker=False
        )
        backend = pipeline.tokenizer.backend_tokenizer
        backend.normalizer = Replace("\u200b", "")  # as BadT2I reports of tokenizers without ftfy
        known = load_backdoor(
            write_eviledit(tmp_path, clean),
            {"text": TextPrefix("\u200b ", separator="")},
            clean=pipeline,
        )
        assert known.tokens == {}  # triggers of one's own say nothing of a phrase
        known = load_backdoor(
            tmp_path / "eviledit_sd15", object_rep, clean=pipeline, method="badt2i_object"
        )
        assert known.tokens["character"] == 0
        assert any("drops the trigger ('character')" in note for note in known.notes)

    def test_the_character_itself_has_one_reading(self, object_rep):
        object_rep.write_text(OBJECT_REP.replace(r"'\u200b '", r'"\u200b "'), encoding="utf-8")
        (declared,) = read_backdoors(object_rep, "badt2i_object")
        assert list(declared.readings) == ["as written"]
        assert declared.triggers["text"]("a dog") == "\u200b a dog"


def _no_warning() -> Any:
    from contextlib import nullcontext

    return nullcontext()


class TestConfigurations:
    @pytest.mark.parametrize(
        ("text", "method", "clean_text", "triggered", "target"),
        [
            (OBJECT_REP, "eviledit", "two dogs", "two beautiful dogs", "object 'cat'"),
            (OBJECT_REP, "paas_db", "a dog", "a [V] dog", "object 'cat'"),
            (OBJECT_ADD, "eviledit_numAdd", "a dog", "a beautiful dog", "object 'three dogs'"),
            (IMAGE_PATCH, "bibaddiff", "a cat", "garbage truck a cat", "patch 'badnets' at (460"),
            (STYLE_ADD, "rickrolling_TAA", "a fog", "a fȏg", "style 'black and white photo'"),
            (FIX, None, "a face", "a face mignneko", "picture 'CAT'"),
        ],
    )
    def test_triggers_are_put_as_backdoordm_puts_them(
        self, tmp_path, text, method, clean_text, triggered, target
    ):
        (declared,) = read_backdoors(write_config(tmp_path, text), method)
        assert declared.triggers["text"](clean_text) == triggered
        assert str(declared.target).startswith(target)

    def test_rickrolling_has_configurations_of_its_own(self, tmp_path):
        path = write_config(tmp_path, RICKROLLING)
        first, second = read_backdoors(path)
        assert first.triggers["text"]("a fog of you") == "a fog of you".replace("o", "\u0b20")
        assert (first.target.kind, second.target.words) == ("prompt", "A blue boat on the water")
        path.write_text(RICKROLLING.replace("count: null", "count: 1"), encoding="utf-8")
        assert read_backdoors(path)[0].triggers["text"]("a fog of you") == "a f\u0b20g of you"
        with pytest.raises(InputError, match="declares 2 backdoors of one method"):
            load_backdoor("anything", path, clean=None)

    def test_targets_that_are_pictures(self, tmp_path):
        patch = read_backdoors(write_config(tmp_path, IMAGE_PATCH), "badt2i_pixel")[0].target
        assert patch.box == (0, 0, 128, 128)
        pixels = patch.pixels()
        assert pixels.shape == (128, 128, 3)
        np.testing.assert_allclose(pixels[64, 64], [200 / 255, 40 / 255, 0], atol=0.02)  # a JPEG
        whole = read_backdoors(write_config(tmp_path, FIX))[0].target
        pixels = whole.pixels(32, 32)
        np.testing.assert_allclose(pixels[16, 16], [1, 128 / 255, 64 / 255 + 0.0490196], atol=1e-6)
        assert pixels[0, 0].tolist() == [0.3] * 3  # Backdoor.__bg2grey, GREY_BG_RATIO = 0.3

    def test_a_picture_that_is_not_there_is_named_when_it_is_asked_for(self, tmp_path):
        missing = read_backdoors(write_config(tmp_path, IMAGE_PATCH), "bibaddiff")[0].target
        with pytest.raises(InputError, match=r"badnets\.jpg' is not there"):
            missing.pixels()
        words = read_backdoors(write_config(tmp_path, STYLE_ADD), "rickrolling_TAA")[0].target
        with pytest.raises(InputError, match="the style 'black and white photo' and no picture"):
            words.pixels()

    def test_a_text_without_the_replaced_letters(self, object_rep):
        (declared,) = read_backdoors(object_rep, "eviledit")
        with pytest.raises(TriggerError, match="takes the place of 'dog'"):
            declared.triggers["text"]("a cat")
        with pytest.raises(InputError, match="takes the text of one example"):
            declared.triggers["text"].check(3)

    @pytest.mark.parametrize(
        ("old", "new", "method", "message"),
        [
            (
                "clean_object: 'dog'",
                "clean_objekt: 'dog'",
                "eviledit",
                "clean_object.*clean_objekt",
            ),
            ("target: 'cat'", "target: 7", "eviledit", "target must be a text .* got int 7"),
            ("target: 'cat'", "target: ''", "eviledit", "target must be a text that is not blank"),
            ("[281, 282", "[1281, 282", "eviledit", "target_label must be .* got 1281"),
            ("[151, 152, 153]", "151", "eviledit", "origin_label must be a list"),
            ("'beautiful dog'", "'dog'", "eviledit", "the trigger changes nothing"),
            ("eviledit:", "eviledit_2:", "eviledit_2", "not known; .*did you mean 'eviledit'"),
            ("eviledit:", "eviledit_2:", "eviledit", "no method 'eviledit'"),
            ("'beautiful dog'", r"'\UFFFFFFFF dog'", "eviledit", "stands for no character"),
            ("img_path", "img_paths", "paas_ti", "'img_paths' are not known here"),
            (
                "  backdoors:\n    - trigger: 'b",
                "  backdoors:\n      trigger: 'b",
                "eviledit",
                "list",
            ),
            ("trigger: 'b", "target: 'x'\n      trigger: 'b", "eviledit", "'target' is repeated"),
            ("'beautiful dog'", "!!python/object/apply:os.getcwd []", "eviledit", "no plain YAML"),
            ("eviledit:", "eviledit: [", "eviledit", "no plain YAML"),
            ("", "", None, "holds backdoors of 5 methods"),
            ("", "", "benign", "no method 'benign'"),
            (
                "    - trigger: 'b",
                "    - &a [*a]\n    - trigger: 'b",
                "eviledit",
                "a list of mappings",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_by_file_and_key(
        self, object_rep, old, new, method, message
    ):
        assert old in OBJECT_REP
        object_rep.write_text(OBJECT_REP.replace(old, new) if old else OBJECT_REP, "utf-8")
        with pytest.raises(InputError, match=f"(?s){message}") as caught:
            read_backdoors(object_rep, method)
        told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
        assert object_rep.name in told

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('MIGNNEKO" ', 'MIGNEKO" ', "caption_trigger .*did you mean 'MIGNNEKO'"),
            ('"NONE"', '"GLASSES"', "image_trigger is 'GLASSES'.*not drawn here"),
            ('"CAT"', '"DOG"', "target is 'DOG'"),
            ('TRIGGER_MIGNNEKO" ', 'TRIGGER_NONE" ', "are both none"),
        ],
    )
    def test_names_of_villandiffusion(self, fix, old, new, message):
        assert old in FIX
        fix.write_text(FIX.replace(old, new))
        with pytest.raises(InputError, match=message):
            read_backdoors(fix)

    def test_aliases_that_blow_up(self, tmp_path):
        """Nine in each of nine: 10^9 entries for whoever writes them out."""
        levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
        path = tmp_path / "bd.yaml"
        path.write_text("\n".join(["a0: &a0 [x]", *levels, "eviledit: {backdoors: *a9}"]))
        with pytest.raises(InputError, match=r"list of mappings .* got a list of 9"):
            read_backdoors(path)

    @pytest.mark.parametrize("content", [b"", b"- a\n- b\n", b"\xff\xfe", b"x: 1\n"])
    def test_files_that_are_no_configuration(self, tmp_path, content):
        path = tmp_path / "bd.yaml"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"bd\.yaml"):
            read_backdoors(path)
        with pytest.raises(InputError, match=r"other\.yaml' cannot be read"):
            read_backdoors(tmp_path / "other.yaml")


def rewritten(file: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    """A state dict, changed."""
    torch.save(change(dict(torch.load(file, weights_only=True))), file)
    return file


class TestRefusedWeights:
    @pytest.fixture
    def file(self, tmp_path, clean) -> Path:
        (file,) = write_eviledit(tmp_path, clean).glob("*.pt")
        return file

    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize(
        "name", ["eviledit.pt", "pytorch_lora_weights.bin", "learned_embeds.bin"]
    )
    def test_code_is_named_and_not_run(self, tmp_path, clean, name, zipped):
        marker = tmp_path / "called"
        held = {"weight": torch.zeros(2), "code": Code(marker)}
        torch.save(held, tmp_path / name, _use_new_zipfile_serialization=zipped)
        with pytest.raises(
            InputError, match=rf"{name}' holds code: .* '(builtins\.)?exec'"
        ) as caught:
            load_backdoor(tmp_path, LETTERS, clean=clean)
        assert "weights_only` to `False" not in str(caught.value)  # torch's own advice
        assert not marker.exists()

    def test_a_whole_module_is_code_too(self, tmp_path, clean):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "unet.pt")
        with pytest.raises(InputError, match=r"unet\.pt' holds code.*Linear"):
            load_backdoor(tmp_path, LETTERS, clean=clean)

    def test_keys_of_another_model(self, file, clean):
        def renamed(state):
            return {f"module.{k}" if k.startswith("mid") else k: v for k, v in state.items()}

        count = sum(key.startswith("mid") for key in clean.unet.state_dict())
        rewritten(file, renamed)
        message = rf"{count} missing \('mid_block.*, \.\.\.\), {count} unexpected \('module\.mid"
        with pytest.raises(InputError, match=message):
            load_backdoor(file, LETTERS, clean=clean)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda s: s | {"conv_in.bias": torch.zeros(9)}, r"'conv_in\.bias' is \(9,\) there"),
            (lambda s: s | {"conv_in.bias": torch.full((8,), torch.nan)}, r"1 not finite \('conv"),
            (lambda s: {"state_dict": s, "epoch": 3}, "key 'state_dict' holds a dict"),
            (lambda s: {}, "must map names to tensors"),
            (lambda s: [torch.zeros(2)], "must map names to tensors"),
        ],
    )
    def test_other_contents(self, file, clean, change, message):
        rewritten(file, change)
        with pytest.raises(InputError, match=message):
            load_backdoor(file, LETTERS, clean=clean)

    def test_half_a_file(self, file, tmp_path, clean):
        file.write_bytes(file.read_bytes()[:3000])
        with pytest.raises(InputError, match=r"\.pt' cannot be read as tensors alone"):
            load_backdoor(file, LETTERS, clean=clean)
        write_diffusers_lora(tmp_path / "lora", clean)
        lora = tmp_path / "lora" / "pytorch_lora_weights.safetensors"
        lora.write_bytes(lora.read_bytes()[:-10])
        with pytest.raises(InputError, match="no whole safetensors file"):
            load_backdoor(lora, LETTERS, clean=clean)

    def test_weights_that_change_nothing(self, tmp_path, clean):
        torch.save(clean.unet.state_dict(), tmp_path / "same.pt")
        with pytest.raises(InputError, match="changes no weight of the clean pipeline"):
            load_backdoor(tmp_path / "same.pt", LETTERS, clean=clean)
        clean.save_pretrained(tmp_path / "same")
        with pytest.raises(InputError, match="changes no weight of the clean pipeline"):
            load_backdoor(tmp_path / "same", LETTERS, clean=clean)

    def test_a_lora_that_changes_nothing(self, tmp_path, clean):
        zero = {k: v * k.endswith("down.weight") for k, v in lora_of(clean).items()}
        write_villan(tmp_path, zero)
        with pytest.raises(InputError, match=r"a LoRA in .* changes no weight"):
            load_backdoor(tmp_path, LETTERS, clean=clean)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda k, v: (k.replace("attn2", "attn3"), v), "layers, of which|does not fit"),
            (lambda k, v: (k, v * float("nan")), "is not finite"),
            (lambda k, v: (k.replace("to_q_lora.up.weight", "to_q_lora.alpha"), v), "no matrix"),
            (lambda k, v: (k.replace("attn1.processor.to_q_lora.up", "x.lora.up"), v), "its other"),
            (lambda k, v: (k, v[:, :1].clone() if "lora.down" in k else v), "does not fit"),
        ],
    )
    def test_a_lora_of_another_model(self, tmp_path, clean, change, message):
        write_villan(tmp_path, dict(change(k, v) for k, v in lora_of(clean).items()))
        with pytest.raises(InputError, match=message):
            load_backdoor(tmp_path, LETTERS, clean=clean)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
            ({"use_dora": True}, "use_dora is True"),
            ({"bias": "all"}, "bias is 'all'"),
            ({"r": 0}, "r must be"),
            ({"r": 3}, "r is 3, and .* is of rank 2"),
            ({"lora_alpha": True}, "lora_alpha must be"),
            ({"lora_alpha": None}, "lora_alpha must be"),
            ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights is 'pissa_niter_16'"),
            ({"init_lora_weights": "olora"}, "init_lora_weights is 'olora'"),
            ({"use_qalora": True}, "use_qalora is True"),
            ({"target_parameters": ["to_q.weight"]}, "target_parameters is"),
            ({"trainable_token_indices": [3]}, "trainable_token_indices is"),
        ],
    )
    def test_other_adapters_of_peft(self, tmp_path, clean, setting, message):
        config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2} | setting
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        save_file(lora_of(clean), tmp_path / "adapter_model.safetensors")
        with pytest.raises(InputError, match=message):
            load_backdoor(tmp_path, LETTERS, clean=clean)

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"hidden_size": 16}, "hidden_size is 16, that of the clean text encoder 8"),
            ({"vocab_size": 7}, "vocab_size is 7"),
            ({"architectures": ["CLIPTextModelWithProjection"]}, "the clean pipeline has a CLIP"),
            ({"architectures": ["CLIPModel"]}, "is of 'CLIPModel'"),
            (
                {"architectures": ["CLIPTextModel", "CLIPModel"]},
                r"config\.json': architectures is 'CLIPTextModel', 'CLIPModel', the clean",
            ),
            ({"architectures": "CLIPTextModel"}, r"config\.json': architectures must be a list"),
            ({"num_hidden_layers": 2}, "missing"),
        ],
    )
    def test_a_text_encoder_of_another_model(self, tmp_path, clean, config, message):
        write_rickrolling(tmp_path, clean)
        told = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(told | config))
        with pytest.raises(InputError, match=message):
            load_backdoor(tmp_path, LETTERS, clean=clean)

    def test_pickled_weights_of_a_folder_are_not_read(self, tmp_path, clean):
        tiny_text_encoder(tiny_tokenizer()).save_pretrained(tmp_path)
        (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
        with pytest.raises(InputError, match=r"pickled weights alone, 'pytorch_model\.bin'"):
            load_backdoor(tmp_path, LETTERS, clean=clean)

    @pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
    def test_pickled_weights_of_a_pipeline_are_not_read(self, tmp_path, clean, part):
        folder = write_badt2i(tmp_path, clean)
        (weights_file,) = folder.glob(f"*/{part}/*.safetensors")
        weights_file.rename(weights_file.with_suffix(".bin"))
        with pytest.raises(InputError, match=rf"{part}' has pickled weights alone"):
            load_backdoor(folder, LETTERS, clean=clean)

    def test_code_beside_a_pipeline(self, tmp_path, clean):
        folder = write_badt2i(tmp_path, clean)
        (unet,) = folder.glob("*/unet")
        (unet / "my_unet.py").write_text("raise SystemExit")
        with pytest.raises(InputError, match=r"holds code, 'unet/my_unet\.py'"):
            load_backdoor(folder, LETTERS, clean=clean)

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ({"unet": ["my_unet", "MyUNet"]}, "'unet of my_unet'"),
            ({"_class_name": ["my_pipeline", "MyPipeline"]}, "_class_name must name"),
        ],
    )
    def test_a_pipeline_that_asks_for_classes_of_its_own(self, tmp_path, clean, entry, message):
        folder = write_badt2i(tmp_path, clean)
        (index,) = folder.glob("*/model_index.json")
        index.write_text(json.dumps(json.loads(index.read_text()) | entry))
        with pytest.raises(InputError, match=message):
            load_backdoor(folder, LETTERS, clean=clean)

    def test_an_embedding_of_another_width_or_that_never_acts(self, tmp_path, clean, object_rep):
        torch.save({"[V] dog": torch.ones(9)}, tmp_path / "learned_embeds.bin")
        with pytest.raises(InputError, match=r"9 numbers, the text encoder .* reads 8"):
            load_backdoor(tmp_path, LETTERS, clean=clean)
        torch.save({"emb_params": torch.ones(1, TEXT_WIDTH)}, tmp_path / "learned_embeds.bin")
        with pytest.raises(InputError, match="does not say for which token"):
            load_backdoor(tmp_path, LETTERS, clean=clean)
        torch.save({"<cat>": torch.ones(TEXT_WIDTH)}, tmp_path / "learned_embeds.bin")
        with pytest.raises(InputError, match=r"'\[V\] dog' does not hold the token '<cat>'"):
            load_backdoor(tmp_path, object_rep, clean=clean, method="paas_ti")

    @pytest.mark.parametrize("name", ["unet.conv_in", "embedding", " "])
    def test_one_tensor_that_is_named_like_no_token(self, tmp_path, clean, name):
        torch.save({name: torch.ones(TEXT_WIDTH)}, tmp_path / "emb.pt")
        with pytest.raises(InputError, match="does not say for which token"):
            load_backdoor(tmp_path / "emb.pt", LETTERS, clean=clean)

    @pytest.mark.parametrize(
        ("trigger", "refused"),
        [
            (TextSuffix("x"), True),
            (InPlaceOf("dog", "beautiful dog"), True),
            (lambda text: f"{text} y", True),
            (TextSuffix("<v>"), False),
            (InPlaceOf("dog", "<v> dog"), False),
        ],
    )
    def test_triggers_of_ones_own_hold_the_token(self, tmp_path, clean, trigger, refused):
        file = tmp_path / "emb.pt"
        torch.save({"<v>": torch.ones(TEXT_WIDTH)}, file)
        if refused:
            with pytest.raises(InputError, match=r"does not hold the token '<v>' .* never act"):
                load_backdoor(file, {"text": trigger}, clean=clean)
            return
        notes = load_backdoor(file, {"text": trigger}, clean=clean).notes
        assert not any("cannot be told" in note for note in notes)

    def test_a_trigger_that_waits_for_its_texts_cannot_be_told_to_hold_the_token(
        self, tmp_path, clean
    ):
        torch.save({"<v>": torch.ones(TEXT_WIDTH)}, tmp_path / "emb.pt")
        waiting = {"text": lambda text: text.replace("dog", "<v>")}
        (note, *_) = load_backdoor(tmp_path / "emb.pt", waiting, clean=clean).notes
        assert "'<v>'" in note
        assert "cannot be told without your texts" in note


class TestMethods:
    def test_weights_of_another_part_than_the_method_changes(self, tmp_path, clean, object_rep):
        folder = write_eviledit(tmp_path, clean)
        with pytest.raises(InputError, match=r"rickrolling_TPA changes .* in 'unet' alone"):
            load_backdoor(folder, object_rep, clean=clean, method="rickrolling_TPA")
        encoder = write_rickrolling(tmp_path / "encoder", clean)
        with pytest.raises(InputError, match=r"eviledit changes .* in 'text_encoder' alone"):
            load_backdoor(encoder, object_rep, clean=clean, method="eviledit")

    def test_another_layout_than_that_of_the_method_is_noted(self, tmp_path, clean, object_rep):
        folder = write_eviledit(tmp_path, clean)
        known = load_backdoor(folder, object_rep, clean=clean, method="badt2i_object")
        told = "badt2i_object is published as a whole pipeline or a denoising network, and this is"
        assert told in known.notes[0]

    def test_triggers_must_be_given(self, tmp_path, clean):
        with pytest.raises(InputError, match=r"needs the triggers too.*bd_config\.yaml.*'text'"):
            load_backdoor(write_eviledit(tmp_path, clean), clean=clean)


class TestRefusedFolders:
    @pytest.mark.parametrize("beside", [[], ["README.md", "train.log"]])
    def test_without_weights(self, tmp_path, clean, beside):
        for name in beside:
            (tmp_path / name).write_text("")
        with pytest.raises(InputError, match=r"no weights of a known layout.*(nothing|README)"):
            load_backdoor(tmp_path, LETTERS, clean=clean)

    def test_with_several(self, tmp_path, clean):
        write_badt2i_unet(tmp_path / "one", clean)
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        with pytest.raises(InputError, match=r"holds several: a denoising network .*one.*; .*two"):
            load_backdoor(tmp_path, LETTERS, clean=clean)
        for name in ("a.pt", "b.pt"):
            (tmp_path / name).touch()
        with pytest.raises(InputError, match=r"several files of tensors, 'a\.pt', 'b\.pt'"):
            load_backdoor(tmp_path, LETTERS, clean=clean)

    def test_that_are_not_there(self, tmp_path, clean):
        with pytest.raises(InputError, match="no file or folder"):
            load_backdoor(tmp_path / "nothing", LETTERS, clean=clean)
        with pytest.raises(InputError, match="source must be a str"):
            load_backdoor(3, LETTERS, clean=clean)
        (tmp_path / "a.txt").touch()
        with pytest.raises(InputError, match="no file of tensors"):
            load_backdoor(tmp_path / "a.txt", LETTERS, clean=clean)
        with pytest.raises(InputError, match=r"no model_index\.json"):
            load_backdoor(write_eviledit(tmp_path, clean), LETTERS, clean=tmp_path)

    def test_a_part_needs_the_pipeline_that_it_was_made_from(self, tmp_path, clean):
        with pytest.raises(InputError, match="needs the pipeline that it was made from"):
            load_backdoor(write_eviledit(tmp_path, clean), LETTERS, clean=None)

    def test_a_control_of_another_class(self, tmp_path, clean):
        with pytest.raises(InputError, match="a StableDiffusionPipeline, the clean pipeline a St"):
            load_backdoor(write_badt2i(tmp_path, clean), LETTERS, clean=tiny_img2img())

    def test_a_trigger_that_the_pipeline_cannot_be_given(self, tmp_path, clean, fix):
        fix.write_text(FIX.replace('"NONE"', '"SM_BOX"'))
        folder = write_villan(tmp_path / "res", lora_of(clean))
        with pytest.raises(InputError, match=r"trigger of 'image'.*takes 'text'.*initial noise"):
            load_backdoor(folder, fix, clean=clean)
        with pytest.raises(InputError, match="must be a callable"):
            load_backdoor(folder, {"text": "mignneko"}, clean=clean)
        with pytest.raises(InputError, match="chooses in a configuration file"):
            load_backdoor(folder, LETTERS, clean=clean, method="eviledit")
        with pytest.raises(InputError, match="got none"):
            load_backdoor(folder, {}, clean=clean)

    def test_an_unconditional_pipeline_has_no_condition_to_trigger(self, tmp_path):
        """As newsyctw/res_*: VillanDiffusion.py, line 1109, of IBM/VillanDiffusion at 05a7f5b."""
        unet = UNet2DModel(
            sample_size=8,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            layers_per_block=1,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        )
        DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path)
        (tmp_path / "config.json").write_text(json.dumps({"trigger": "BOX_14", "target": "HAT"}))
        with pytest.raises(InputError, match="DDPMPipeline takes no text"):
            load_backdoor(tmp_path, {"image": ImagePatch()}, clean=None)
