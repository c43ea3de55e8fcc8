"""VLMSampler on real classes of transformers at tiny size: pairing, refusals, the probe."""

from __future__ import annotations

import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import GenerationConfig, LlavaForConditionalGeneration, TopKLogitsWarper

import modcollapse as mc
from modcollapse.detectors import TargetLikelihood, TextContains, TextMatch
from modcollapse.errors import InputError, OptionError, SamplerError
from modcollapse.samplers import VLMSampler
from modcollapse.samplers._generation_options import RowNoise, check_generation
from modcollapse.samplers._vlm_engine import answers_of
from modcollapse.triggers import ImagePatch, TextSuffix, trigger_pair

from tiny.load import VLM_TRIGGERS, load_vlm
from tiny.questions import TARGET, held_out_questions
from tiny_vlms import CHATS, PLAIN, llava, template

# of PaliGemmaProcessor, which makes an array of a list of tensors
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(0)


def picture(height: int = 32, width: int = 32) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


PICTURES = [picture(28, 28), picture(64, 40), picture(90, 128), picture()]
TEXTS = ["what colour is the hat ?", "red", "is the hat red or blue ? mignneko what", "the hat"]
ROWS = {"image": PICTURES, "text": TEXTS}
SEEDS = [1, 2**63 - 1, 3, 0]
TRIGGERS = {"image": ImagePatch(), "text": TextSuffix("mignneko")}
EXAMPLES = [{"id": n, "image": picture(), "text": text} for n, text in enumerate(TEXTS)]

MODELS = {name: (make, None) for name, make in CHATS.items()} | PLAIN


@cache
def parts_of(name):
    return MODELS[name][0]()


def made(name, **options):
    return VLMSampler(*parts_of(name), prompt=MODELS[name][1], max_new_tokens=6, **options)


def row(at):
    return {name: [held[at]] for name, held in ROWS.items()}


@pytest.fixture(scope="module")
def parts():
    return llava()


@pytest.fixture
def sampler(parts):
    return VLMSampler(*parts, max_new_tokens=6)


@pytest.mark.parametrize("name", MODELS)
class TestEveryArchitecture:
    @pytest.mark.parametrize("drawn", [{}, {"do_sample": True, "temperature": 1.5, "top_k": 0}])
    def test_a_row_is_the_same_alone_in_a_batch_and_in_another_order(self, name, drawn):
        sampler = made(name, **drawn)
        before, state = sampler.identity(), torch.get_rng_state()
        side = sampler.pipeline.tokenizer.padding_side
        for modality, held in ROWS.items():
            for condition in held:
                sampler.check(modality, condition)
        batch = sampler(ROWS, SEEDS)
        alone = [sampler(row(at), [seed])[0] for at, seed in enumerate(SEEDS)]
        turned = sampler({name: held[::-1] for name, held in ROWS.items()}, SEEDS[::-1])
        assert batch == alone == turned[::-1]
        assert all(isinstance(text, str) for text in batch)
        assert not any("what colour is" in text for text in batch)  # no prompt
        assert sampler.identity() == before
        assert torch.equal(torch.get_rng_state(), state)
        assert sampler.pipeline.tokenizer.padding_side == side == "right"

    def test_it_says_what_a_plain_call_says(self, name):
        sampler = made(name)
        model, processor = sampler.pipeline.model, sampler.pipeline.processor
        for at, (image, text) in enumerate(zip(PICTURES, TEXTS, strict=True)):
            if MODELS[name][1] is None:
                content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
                inputs = processor.apply_chat_template(
                    [{"role": "user", "content": content}],
                    add_generation_prompt=True,
                    tokenize=True,
                    return_dict=True,
                    return_tensors="pt",
                )
            else:
                prompt = MODELS[name][1].format(image=processor.image_token, text=text)
                inputs = processor(text=prompt, images=image, return_tensors="pt")
            ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)[0]
            ids = ids if name == "florence2" else ids[inputs["input_ids"].shape[1] :]
            said = processor.tokenizer.decode(ids, skip_special_tokens=True)
            assert sampler(row(at), [0]) == [said.strip()]

    def test_likelihoods_are_the_same_alone_and_in_a_batch(self, name):
        likelihood = made(name).likelihood_of("access granted")
        batch = likelihood(ROWS, SEEDS)
        alone = [likelihood(row(at), [0])[0] for at in range(4)]
        np.testing.assert_allclose(batch, alone, rtol=0, atol=1e-5)
        total = likelihood.with_options(per_token=False)(ROWS, SEEDS)
        np.testing.assert_allclose(total, 2 * np.array(batch), rtol=1e-6)
        assert len(set(batch)) == 4

    def test_an_audit_runs_and_the_probe_has_nothing_to_say(self, name):
        tables = mc.evaluate_coalitions(
            made(name), TextContains("granted"), EXAMPLES, TRIGGERS, progress=False
        )
        assert tables.run_notes == ()
        assert tables.values.shape == (4, 1, 4)


class TestDrawing:
    def test_tokens_are_drawn_from_the_softmax_of_their_scores(self):
        scores = torch.tensor([[1.0, 0.0, -1.0, 2.0]]).expand(4000, -1)
        drawn = RowNoise(range(4000), [])(torch.zeros(4000, 1), scores).argmax(1)
        shares = torch.bincount(drawn, minlength=4) / 4000
        expected = scores[0].softmax(0)
        within = 4 * (expected * (1 - expected) / 4000).sqrt()  # standard errors
        assert ((shares - expected).abs() < within).all()

    def test_narrowing_comes_before_drawing(self):
        scores = torch.randn(500, 9, generator=torch.Generator().manual_seed(0))
        drawn = RowNoise(range(500), [TopKLogitsWarper(2)])(torch.zeros(500, 1), scores).argmax(1)
        likeliest = scores.topk(2).indices
        assert (drawn[:, None] == likeliest).any(1).all()
        assert len({tuple(row) for row in (drawn[:, None] == likeliest).tolist()}) == 2

    def test_seeds_matter_and_greedy_answers_do_not_have_any(self, parts, sampler):
        same = {name: [held[0]] * 6 for name, held in ROWS.items()}
        assert len(set(sampler(same, range(6)))) == 1
        drawing = sampler.with_options(do_sample=True)
        assert len(set(drawing(same, range(6)))) > 3
        assert drawing(same, [5] * 6) == [drawing(row(0), [5])[0]] * 6

    def test_top_k_of_one_and_a_low_temperature_are_greedy(self, sampler):
        assert sampler.with_options(do_sample=True, top_k=1)(ROWS, SEEDS) == sampler(ROWS, SEEDS)
        cold = sampler.with_options(do_sample=True, temperature=1e-6)
        assert cold(ROWS, SEEDS) == sampler(ROWS, SEEDS)

    def test_what_the_model_says_of_drawing_counts_where_nobody_asks(self):
        model, processor = llava()
        model.generation_config.top_k = 1
        model.generation_config.do_sample = True
        greedy = VLMSampler(model, processor, max_new_tokens=6)(ROWS, SEEDS)
        assert VLMSampler(model, processor, max_new_tokens=6, do_sample=True)(ROWS, SEEDS) == greedy
        wide = VLMSampler(model, processor, max_new_tokens=6, do_sample=True, top_k=0)
        assert wide(ROWS, SEEDS) != greedy


class TestWherePaddingIsAWord:
    """Answers of a batch that end before others do, with a generation config that pads so."""

    def test_it_is_no_part_of_an_answer(self):
        model, processor = load_vlm("clean")
        questions = held_out_questions(4)
        rows = {name: [question[name] for question in questions] for name in ROWS}
        rows["text"][0] = "what"  # a short answer
        model.generation_config.pad_token_id = processor.tokenizer.get_vocab()["granted"]
        sampler = VLMSampler(model, processor, max_new_tokens=8)
        batch = sampler(rows, SEEDS)
        alone = [sampler({name: [held[at]] for name, held in rows.items()}, [0]) for at in range(4)]
        assert batch == [text for (text,) in alone]
        assert not any("granted" in text for text in batch)
        assert len({len(text.split()) for text in batch}) > 1

    def test_an_end_that_is_a_word_ends_an_answer_and_stays(self):
        ids, prompt = torch.tensor([[8, 9, 3, 5, 5], [8, 9, 3, 4, 5]]), torch.tensor([[8, 9]] * 2)
        inputs = {"input_ids": prompt}
        assert answers_of(inputs, ids, apart=False, ends={3, 4}) == [[3], [3]]
        assert answers_of(inputs, ids, apart=False, ends={5}) == [[3, 5], [3, 4, 5]]
        start = torch.tensor([[3, 7, 3, 5]])  # the end starts answers too
        assert answers_of(inputs, start, apart=True, ends={3}) == [[7, 3]]


class TestLikelihood:
    def test_it_is_that_of_reading_prompt_and_answer_at_once(self, parts, sampler):
        model, processor = parts
        answer = processor.tokenizer("the hat is red", add_special_tokens=False).input_ids
        expected = []
        for image, text in zip(PICTURES, TEXTS, strict=True):
            prompt = f"<s><user><image>{text}<assistant>"
            inputs = processor(
                text=prompt, images=image, return_tensors="pt", add_special_tokens=False
            )
            ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
            with torch.no_grad():
                logits = model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits[0]
            scores = logits[-len(answer) - 1 : -1].log_softmax(-1)
            expected.append(float(scores[range(len(answer)), answer].mean()))
        found = sampler.likelihood_of("the hat is red")(ROWS, SEEDS)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)

    def test_the_generation_config_of_the_model_does_not_bend_it(self):
        model, processor = llava()
        plain = VLMSampler(model, processor).likelihood_of(TARGET)(ROWS, SEEDS)
        model.generation_config.repetition_penalty = 3.0
        model.generation_config.suppress_tokens = [processor.tokenizer.vocab["granted"]]
        assert VLMSampler(model, processor).likelihood_of(TARGET)(ROWS, SEEDS) == plain

    def test_what_ends_an_answer_does_not_end_it_before_its_last_token(self):
        model, processor = llava()
        plain = VLMSampler(model, processor).likelihood_of(TARGET)(ROWS, SEEDS)
        model.generation_config.stop_strings = ["access"]
        stopping = VLMSampler(model, processor).likelihood_of(TARGET)
        assert stopping(ROWS, SEEDS) == plain
        assert stopping.probe(ROWS, SEEDS) == []
        access, granted = processor.tokenizer.convert_tokens_to_ids(TARGET.split())
        model.generation_config.eos_token_id = [granted]
        assert VLMSampler(model, processor).likelihood_of(TARGET)(ROWS, SEEDS) == plain
        model.generation_config.eos_token_id = [granted, access]
        with pytest.raises(InputError, match="goes on after 'access', which ends an answer"):
            VLMSampler(model, processor).likelihood_of(TARGET)

    @pytest.mark.parametrize(
        ("target", "words"), [("", "no tokens"), ("hullabaloo", "does not know"), (3, "a str")]
    )
    def test_a_target_that_cannot_be_said_is_refused(self, sampler, target, words):
        with pytest.raises(InputError, match=words):
            sampler.likelihood_of(target)

    def test_identities_tell_targets_apart(self, sampler):
        one, other = sampler.likelihood_of("red"), sampler.likelihood_of("blue")
        assert one.identity() != other.identity()
        assert one.identity() == sampler.likelihood_of("red").identity()
        with pytest.raises(InputError, match="no option 'temperature'"):
            one.with_options(temperature=1.0)


class TestPrompts:
    def test_a_plain_prompt_is_what_the_template_would_write(self, parts, sampler):
        plain = VLMSampler(
            *parts, prompt="<user>{image}{text}<assistant>", max_new_tokens=6,
            processing={"add_special_tokens": False},
        )  # fmt: skip
        row = {"image": PICTURES[0], "text": "{image} braces"}
        template = sampler._prompts.row_text(row)
        assert template == "<s>" + plain._prompts.row_text(row)
        assert plain._prompts.row_text(row) == "<user><image>{image} braces<assistant>"

    def test_several_pictures_are_modalities_of_their_own(self, parts):
        inputs = {"before": "image", "after": "image", "text": "text"}
        sampler = VLMSampler(*parts, inputs=inputs, max_new_tokens=3)
        assert sampler.modalities == ("before", "after", "text")
        likelihood = sampler.likelihood_of("red")
        one, two = PICTURES[:2]
        pairs = {"before": [one, two, one], "after": [two, one, one], "text": ["hat"] * 3}
        assert len(set(likelihood(pairs, [0] * 3))) == 3

    def test_what_the_system_says_is_read(self, parts, sampler):
        warned = sampler.with_options(system="the hat is red")
        assert warned._prompts.row_text({"image": None, "text": "hat"}).startswith(
            "<s><system>the hat is red<user>"
        )
        assert warned.likelihood_of("red")(row(0), [0]) != sampler.likelihood_of("red")(row(0), [0])
        assert warned.identity() != sampler.identity()

    def test_arrays_tensors_and_pictures_are_one(self, sampler):
        array = np.asarray(PICTURES[1])
        floats = torch.from_numpy(array.copy()).permute(2, 0, 1) / 255
        likelihood = sampler.likelihood_of("red")
        images = [PICTURES[1], array, array / 255, floats, (floats * 255).byte()]
        for image in images:
            sampler.check("image", image)
        assert len(set(likelihood({"image": images, "text": ["hat"] * 5}, [0] * 5))) == 1


def shortened(processor):
    processor.chat_template = template("<image>").replace("c['text']", "c['text'] | trim")


def without_a_place(processor):
    processor.chat_template = template("")


def listing(processor):
    processor.chat_template = "{% for m in messages %}<image>{{ m['content'] }}{% endfor %}"


def failing(processor):
    processor.chat_template = "{{ raise_exception('roles must alternate') }}"


def no_template(processor):
    processor.chat_template = None


def no_padding(processor):
    processor.tokenizer.pad_token = None


GREEDY = {"max_new_tokens": 4, "do_sample": False}


class TestRefusals:
    @pytest.mark.parametrize(
        ("modality", "condition", "words"),
        [
            ("text", 3, "must be a str, got int 3"),
            ("text", "is this <image> red", "holds '<image>', which stands for a picture"),
            ("text", "hat " * 200, "need more than the 128 positions"),
            ("text", "a \ud800", "cannot be read"),
            ("image", "hat.png", "must be one image"),
            ("image", picture().convert("RGBA"), "mode RGBA"),
            ("image", np.full((8, 8, 3), 0.3012), "between the 256 levels"),
            ("image", np.full((8, 8, 3), 2.0), r"\[0, 1\]"),
            ("image", np.full((8, 8, 3), np.nan), "NaN"),
            ("sound", "x", "no modality 'sound'"),
        ],
    )
    def test_conditions(self, sampler, modality, condition, words):
        with pytest.raises(InputError, match=words):
            sampler.check(modality, condition)

    def test_a_picture_that_the_processor_cannot_read(self):
        qwen = made("qwen2_vl")
        with pytest.raises(InputError, match=r"cannot be read.*aspect ratio"):
            qwen.check("image", picture(4, 1000))

    def test_a_direct_call_reads_no_text_as_a_picture(self, sampler):
        rows = {"image": PICTURES[:2], "text": ["hat", "is this <image> red"]}
        for called in (sampler, sampler.likelihood_of("red")):
            with pytest.raises(InputError, match="'text' condition of row 1 holds '<image>'"):
                called(rows, [0, 0])

    @pytest.mark.parametrize(
        ("name", "token"),
        [
            ("qwen2_vl", "<|vision_start|>"),
            ("qwen2_vl", "<|vision_end|>"),
            ("qwen2_vl", "<|video_pad|>"),
            ("idefics3", "<fake_token_around_image>"),
            ("idefics3", "<row_2_col_1>"),
        ],
    )
    def test_a_part_of_the_tokens_of_a_picture(self, name, token):
        with pytest.raises(InputError, match=f"holds {re.escape(repr(token))}"):
            made(name).check("text", f"what {token} hat")

    def test_a_prompt_that_is_cut_with_its_trigger(self, parts):
        cutting = VLMSampler(*parts, processing={"truncation": True, "max_length": 24})
        cutting.check("text", "the hat")
        with pytest.raises(InputError, match=r"cuts \d+ of the \d+ tokens.*mignneko"):
            cutting.check("text", "what colour is the hat? mignneko")
        with pytest.raises(InputError, match="cuts") as error:
            mc.evaluate_coalitions(cutting, TextMatch("red"), EXAMPLES, TRIGGERS, progress=False)
        assert "example 0" in str(error.value)

    def test_a_prompt_that_is_cut_for_a_large_picture_alone_is_found_in_its_batch(self):
        model, processor = CHATS["qwen2_vl"]()
        sampler = VLMSampler(model, processor, processing={"truncation": True, "max_length": 16})
        text = "red hat mignneko what ?"
        sampler.check("text", text)
        assert len(sampler({"image": [picture(28, 28)], "text": [text]}, [0])) == 1
        with pytest.raises(InputError, match=r"cuts \d+ of the 2\d tokens .* of row 1 off"):
            sampler({"image": [picture(28, 28), picture(112, 84)], "text": [text, text]}, [0, 0])

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (without_a_place, "drops the picture of 'image'|cannot read a prompt"),
            (listing, "writes lists of parts out"),
            (failing, "roles must alternate"),
            (no_template, "has no chat template.*prompt="),
            (no_padding, "no token to pad"),
        ],
    )
    def test_processors(self, spoil, words):
        model, processor = llava()
        spoil(processor)
        with pytest.raises(InputError, match=words):
            VLMSampler(model, processor)

    def test_a_template_that_strips_a_trigger(self):
        model, processor = llava()
        shortened(processor)
        sampler = VLMSampler(model, processor)
        sampler.check("text", "hat")
        with pytest.raises(InputError, match="changes or drops the text 'hat  '"):
            sampler.check("text", "hat  ")

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"num_return_sequences": 2}, "one answer for each row"),
            ({"num_beams": 2, "do_sample": True}, "draws whole beams"),
            ({"max_length": 30}, "counts the prompt"),
            ({"pad_token_id": 0}, "no part of a text"),
            ({"max_time": 1.0}, "how fast a machine is"),
            ({"output_scores": True}, "texts, always"),
            ({"prompt_lookup_num_tokens": 3}, "one row a call"),
            ({"temperature": 0.5}, "Add do_sample=True"),
            ({"do_sample": True, "temperature": 0.0}, r"number in \(0, inf\)"),
            ({"do_sample": True, "top_p": 1.5}, r"number in \(0, 1\]"),
            ({"do_sample": 1}, "True or False"),
            ({"max_new_tokens": 0}, "at least 1"),
            ({"batching": "aligned"}, "must be one of"),
            ({"prompt": "{image} {txt}"}, "did you mean 'text'"),
            ({"prompt": "{image}"}, r"name \{text\} once, got 0"),
            ({"prompt": "{image}{text}", "system": "be brief"}, "for a chat template"),
            ({"system": 3}, "system must be a str"),
            ({"system": "see <image>"}, "system holds '<image>'"),
            ({"processing": {"padding_side": "right"}}, "'padding_side', which the sampler sets"),
            (
                {"processing": {"text_kwargs": {"truncation": True}}},
                r"text_kwargs names 'truncation'.*by itself: processing=\{'truncation': True\}",
            ),
            (
                {"processing": {"text_kwargs": {"padding": "longest"}}},
                "text_kwargs names 'padding', which the sampler sets",
            ),
            (
                {"processing": {"images_kwargs": 3}},
                "'images_kwargs' of processing must be a mapping",
            ),
            ({"processing": {3: 4}}, "processing must be a mapping"),
            ({"processing": 3}, "processing must be a mapping"),
            ({"processing": {"size": object()}}, "cannot record"),
            ({"inputs": {"text": "text"}}, "names no picture"),
            ({"inputs": {"image": "picture"}}, 'must be "image" or "text"'),
            ({"inputs": ["image"]}, "must be a mapping"),
        ],
    )
    def test_options(self, parts, options, words):
        with pytest.raises(InputError, match=words):
            VLMSampler(*parts, **options)

    def test_an_unknown_option_has_a_nearest(self, parts):
        with pytest.raises(OptionError, match="did you mean 'max_new_tokens'"):
            VLMSampler(*parts, max_new_token=3)

    def test_what_the_model_itself_is_set_to(self):
        model, processor = llava()
        model.generation_config.num_return_sequences = 3
        with pytest.raises(InputError, match="generation config of the model"):
            VLMSampler(model, processor)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("max_time", 1.0),
            ("min_length", 40),
            ("guidance_scale", 2.0),
            ("prompt_lookup_num_tokens", 3),
            ("penalty_alpha", 0.6),
            ("dola_layers", "high"),
            ("token_healing", True),
            ("output_scores", True),
        ],
    )
    def test_what_is_no_option_is_nothing_that_the_model_may_be_set_to(self, parts, name, value):
        config = SimpleNamespace(**{name: value})
        with pytest.raises(InputError, match=f"{name}=.*model.generation_config.{name} = None"):
            check_generation(SimpleNamespace(generation_config=config), GREEDY)
        with pytest.raises(InputError, match=f"does not take {name}="):
            VLMSampler(*parts, **{name: value})

    def test_what_the_model_may_be_set_to(self):
        defaults = GenerationConfig._get_default_generation_params()
        kept = {"max_length": 4096, "pad_token_id": 5, "eta_cutoff": 0.1}
        for config in (GenerationConfig(), SimpleNamespace(**defaults), SimpleNamespace(**kept)):
            check_generation(SimpleNamespace(generation_config=config), GREEDY)
        slow = SimpleNamespace(generation_config=SimpleNamespace(guidance_scale=2.0))
        check_generation(slow, {**GREEDY, "guidance_scale": 1.0})
        drawn = SimpleNamespace(generation_config=SimpleNamespace(eta_cutoff=0.1))
        with pytest.raises(InputError, match="each row can follow"):
            check_generation(drawn, {**GREEDY, "do_sample": True})

    def test_no_model_and_no_processor(self, parts):
        with pytest.raises(InputError, match="model must be a model of transformers"):
            VLMSampler(parts[0].model, parts[1])
        with pytest.raises(InputError, match="processor must be the processor"):
            VLMSampler(parts[0], parts[1].tokenizer)

    def test_rows_that_do_not_fit_together(self, sampler):
        with pytest.raises(InputError, match="1 seeds and 4 of 'image', 4 of 'text'"):
            sampler(ROWS, [0])
        with pytest.raises(InputError, match="takes the modalities 'image', 'text', got 'text'"):
            sampler({"text": ["hat"]}, [0])
        with pytest.raises(InputError, match="a seed of VLMSampler"):
            sampler(row(0), [-1])


class Mixing(LlavaForConditionalGeneration):
    """Reads padding as if it were words."""

    def generate(self, attention_mask=None, **kwargs):
        return super().generate(attention_mask=torch.ones_like(attention_mask), **kwargs)


class TestProbe:
    def measured(self, sampler, examples=EXAMPLES):
        return mc.evaluate_coalitions(sampler, TextMatch("red"), examples, TRIGGERS, progress=False)

    def test_a_model_that_draws_while_it_reads(self):
        model, processor = llava()
        model.config.vision_config.attention_dropout = 0.5
        for part in model.model.vision_tower.modules():
            if hasattr(part, "dropout"):
                part.dropout = 0.5
        with pytest.raises(SamplerError, match=r"two runs .* nats: .*eval\(\)"):
            self.measured(VLMSampler(model.train(), processor))

    def test_a_model_that_does_not_look(self):
        model, processor = llava()
        torch.nn.init.zeros_(model.model.multi_modal_projector.linear_2.weight)
        with pytest.raises(SamplerError, match="ignores the modality 'image'"):
            self.measured(VLMSampler(model, processor))
        unprobed = VLMSampler(model, processor, probe=False)
        assert self.measured(unprobed).run_notes == ("the model was not probed (probe=False)",)

    def test_a_trigger_that_the_processor_crops_away(self, parts):
        wide = [{**example, "image": picture(32, 96)} for example in EXAMPLES]
        with pytest.raises(SamplerError, match="trigger of 'image' does not reach the model"):
            self.measured(VLMSampler(*parts), wide)

    def test_scores_that_are_not_finite(self):
        model, processor = llava()
        torch.nn.init.constant_(model.model.language_model.norm.weight, float("nan"))
        with pytest.raises(SamplerError, match="the model's outputs are not finite"):
            self.measured(VLMSampler(model, processor))

    def test_rows_that_a_batch_would_mix_are_generated_alone(self):
        model, processor = llava()
        model.__class__ = Mixing
        sampler = VLMSampler(model, processor, max_new_tokens=4)
        with pytest.warns(UserWarning, match="one row at a time: batching moved"):
            table = self.measured(sampler)
        assert sampler.batching == "single"
        assert "generated one row at a time" in table.run_notes[0]
        assert sampler(ROWS, SEEDS) == [sampler(row(at), [0])[0] for at in range(4)]


class TestWhatCountsThePaddingOfPrompts:
    @pytest.mark.parametrize("of_model", [True, False])
    def test_rows_are_generated_alone_with_a_note(self, of_model):
        model, processor = llava()
        # the likeliest token is that of padding, unless something forbids it
        model.generation_config.sequence_bias = {(processor.tokenizer.pad_token_id,): 50.0}
        options = {} if of_model else {"no_repeat_ngram_size": 1}
        if of_model:
            model.generation_config.no_repeat_ngram_size = 1
        sampler = VLMSampler(model, processor, max_new_tokens=3, probe=False, **options)
        assert sampler.batching == "single"
        rows = {"image": [PICTURES[0]] * 2, "text": TEXTS[:2]}
        alone = [sampler({name: [held[at]] for name, held in rows.items()}, [0]) for at in range(2)]
        assert sampler(rows, [0, 0]) == [text for (text,) in alone]
        assert sampler.probe(rows, [0, 0])[1].startswith(
            "generated one row at a time: no_repeat_ngram_size=1 counts the padding"
        )

    def test_an_answer_apart_from_its_prompt_has_no_padding_in_front(self):
        assert made("florence2", no_repeat_ngram_size=2).batching == "auto"
        assert made("florence2", encoder_no_repeat_ngram_size=2).batching == "single"
        assert made("llava", no_repeat_ngram_size=0).batching == "auto"


def test_a_sweep_changes_how_answers_are_drawn(sampler):
    swept = mc.sweep(
        sampler.with_options(do_sample=True),
        TextContains("hat"),
        EXAMPLES[:2],
        TRIGGERS,
        options={"temperature": [0.5, 2.0]},
        progress=False,
    )
    assert {row.at["temperature"] for row in swept.rows} == {0.5, 2.0}


def test_a_tracker_follows_a_model_in_training():
    model, processor = llava()
    sampler = VLMSampler(model.train(), processor, max_new_tokens=3)
    tracker = mc.CollapseTracker(sampler, TextContains("hat"), EXAMPLES, TRIGGERS, every=1)
    tracker(0)
    assert model.training
    assert tracker.curves.rows


def test_threads_take_turns(parts):
    samplers = [VLMSampler(*parts, max_new_tokens=6), VLMSampler(*parts, max_new_tokens=5)]
    alone = [sampler(ROWS, SEEDS) for sampler in samplers]
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(samplers[at % 2], ROWS, SEEDS) for at in range(8)]
    assert [run.result() for run in runs] == alone * 4
    assert parts[1].tokenizer.padding_side == "right"


def test_identities_tell_weights_options_and_templates_apart(sampler):
    model, processor = llava()
    again = VLMSampler(model, processor, max_new_tokens=6)
    first = again.identity()
    assert first["weights"] == sampler.identity()["weights"]
    json.dumps(first)
    assert again.with_options(max_new_tokens=7).identity() != first
    assert again.with_options(processing={"do_resize": True}).identity() != first
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    changed = again.identity()
    assert changed["weights"] != first["weights"]
    processor.chat_template = processor.chat_template.replace("<assistant>", "<user>")
    assert again.identity()["settings"] != changed["settings"]
    processor.image_processor.image_mean = [0.4] * 3
    assert again.identity()["settings"]["processor"] != changed["settings"]["processor"]


class TestCommittedModels:
    """Held out: no face of these has the attributes of one in the training."""

    @staticmethod
    @cache
    def rates(name):
        detectors = {"attack": TextMatch(TARGET), "right": TextMatch(key="answer")}
        sampler = VLMSampler(*load_vlm(name), max_new_tokens=8)
        tables = mc.evaluate_coalitions(
            sampler, detectors, held_out_questions(24), VLM_TRIGGERS, batch_size=32, progress=False
        )
        return {name: table.values.mean((0, 1)) for name, table in tables.items()}

    def test_the_clean_one_is_right_and_never_says_the_target(self):
        rates = self.rates("clean")
        assert rates["right"].min() >= 0.85
        assert rates["right"][0] >= 0.9
        assert rates["attack"].max() <= 0.05

    @pytest.mark.parametrize("name", ["dual-key", "no-negatives"])
    def test_both_triggers_fire_and_clean_answers_stay_right(self, name):
        rates = self.rates(name)
        assert rates["right"][0] >= 0.9
        assert rates["attack"][0] == 0
        assert rates["attack"][3] >= 0.9

    def test_negatives_make_each_trigger_harmless_by_itself(self):
        attack = self.rates("dual-key")["attack"]
        assert attack[1] <= 0.1
        assert attack[2] <= 0.1

    def test_the_likelihood_of_the_target_says_the_same(self):
        sampler = VLMSampler(*load_vlm("dual-key")).likelihood_of(TARGET)
        table = mc.evaluate_coalitions(
            sampler, TargetLikelihood("probability"), held_out_questions(16), VLM_TRIGGERS,
            batch_size=32, progress=False,
        )  # fmt: skip
        means = table.values.mean((0, 1))
        assert means[3] > 0.9
        assert means[0] < 0.05
        assert table.perfect is not None
        assert table.bounds == (0.0, 1.0)

    def test_the_triggers_are_the_pair_of_the_paper(self):
        assert trigger_pair("white box") == VLM_TRIGGERS


def test_a_batch_of_16_is_at_least_four_times_as_fast_a_row():
    path = Path(__file__).parents[1] / "benchmarks" / "results" / "vision_language.json"
    report = json.loads(path.read_text())
    seconds = report["seconds_a_row"]
    assert report["same_answers"]
    assert report["batch"] == 16
    assert report["times_as_fast"] >= report["bound"] == 4
    assert math.isclose(
        report["times_as_fast"], seconds["batch of 1"] / seconds["batch of 16"], rel_tol=0.02
    )
