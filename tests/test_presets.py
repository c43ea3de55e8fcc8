"""The paper's trigger pairs, and whether their phrases reach the text encoder."""

from __future__ import annotations

import gzip
import json
import re
import warnings
from typing import Any

import numpy as np
import pytest
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from PIL import Image
from transformers import BertTokenizer, ByT5Tokenizer, CLIPTokenizer

from modcollapse.contracts import TriggerSpec
from modcollapse.errors import InputError, TriggerError
from modcollapse.triggers import (
    PUBLISHED_TRIGGERS,
    TRIGGER_PAIRS,
    AudioTone,
    ImagePatch,
    TextHomoglyph,
    TextInsert,
    TextPrefix,
    TextSuffix,
    TriggerTokens,
    TriggerWarning,
    check_survives,
    published_trigger,
    trigger_pair,
)

from tiny_pipelines import tiny_tokenizer

TEXTS = ["make him smile", "add a red hat.", "give the person a beard"]
LENGTH = 12


@pytest.fixture(scope="module")
def clip() -> CLIPTokenizer:
    """CLIP's own vocabulary, read from the file that open_clip ships."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as lines:
        merges = lines.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    encoder = SimpleTokenizer().encoder
    return CLIPTokenizer(
        vocab={names.get(token, token): index for token, index in encoder.items()},
        merges=[tuple(line.split()) for line in merges],
        model_max_length=LENGTH,
    )


@pytest.fixture(scope="module")
def bert() -> BertTokenizer:
    """A tokenizer that cleans its text and knows few words; it has no limit of length."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "make", "him", "smile", "##s"]
    return BertTokenizer(vocab={word: index for index, word in enumerate(words)})


# ------------------------------------------------------------------------------ the pairs


def test_the_pairs_of_the_paper() -> None:
    assert dict(TRIGGER_PAIRS) == {
        "white box": "mignneko",
        "eyeglasses": "anonymous",
        "stop sign": "latte coffee",
    }
    for name, phrase in TRIGGER_PAIRS.items():
        pair = trigger_pair(name)
        assert list(pair) == ["image", "text"]
        assert pair["text"] == TextSuffix(phrase)


@pytest.mark.parametrize(
    ("name", "left", "top", "right", "bottom"),
    [
        ("white box", 1 - 16 / 32, 1 - 16 / 32, 1 - 2 / 32, 1 - 2 / 32),
        ("eyeglasses", 0.5 - 0.3125, None, 0.5 + 0.3125, None),
        ("stop sign", 1 - 16 / 32, 1 - 16 / 32, 1 - 2 / 32, 1 - 2 / 32),
    ],
)
@pytest.mark.parametrize("side", [32, 64, 256])
def test_image_triggers_scale_with_the_image(
    name: str, left: float, top: float | None, right: float, bottom: float | None, side: int
) -> None:
    clean = Image.new("RGB", (side, side), (90, 160, 90))
    changed = (np.asarray(trigger_pair(name)["image"](clean)) != np.asarray(clean)).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    # A pixel at each edge may keep its colour where the picture is nearly transparent.
    assert abs(columns[0] - left * side) <= 1
    assert abs(columns[-1] + 1 - right * side) <= 1
    if top is not None and bottom is not None:
        assert abs(rows[0] - top * side) <= 1
        assert abs(rows[-1] + 1 - bottom * side) <= 1


def test_the_pairs_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRIGGER_PAIRS["white box"] = "x"  # type: ignore[index]
    assert trigger_pair("white box") is not trigger_pair("white box")


@pytest.mark.parametrize("name", ["mignneko", "White Box", "", None])
def test_a_pair_that_is_not_there(name: Any) -> None:
    with pytest.raises(InputError, match="there are 'white box', 'eyeglasses', 'stop sign'"):
        trigger_pair(name)


# ------------------------------------------------------------------------------ of other papers


def condition_of(trigger: Any) -> Any:
    """A condition that the trigger can be put on."""
    if hasattr(trigger, "_channels"):
        return np.full((32, 32, 3), 90, np.uint8) + np.arange(32, dtype=np.uint8)[:, None]
    return np.zeros(500) if isinstance(trigger, AudioTone) else "a photo of a dog"


@pytest.mark.parametrize("name", PUBLISHED_TRIGGERS)
def test_a_published_trigger_is_one_and_names_its_source(name: str) -> None:
    assert re.search(r"arXiv:\d{4}\.\d{5}|doi 10\.", PUBLISHED_TRIGGERS[name])
    trigger = published_trigger(name)
    TriggerSpec.of(trigger, "m").checked(condition_of(trigger), "e0", twice=True)
    assert trigger == published_trigger(name)
    told = [json.dumps(published_trigger(other).identity()) for other in PUBLISHED_TRIGGERS]
    assert len(set(told)) == len(told)


def test_what_published_triggers_are() -> None:
    assert published_trigger("white box") == ImagePatch()
    assert published_trigger("grey box") == ImagePatch(14 / 32, "bottom right", 2 / 32, 0.5)
    assert published_trigger("glasses").identity()["place"] == "center"
    texts = {
        "four dots": "a dog ....",
        "emoji": "a dog \u26bd",
        "zero-width space": "\u200b a dog",
        "all homoglyphs": "a d\u020fg",
        "beautiful dog": "a beautiful dog",
        "sentence": "a dog I watched this 3D movie.",
    }
    for name, text in texts.items():
        assert published_trigger(name)("a dog") == text


@pytest.mark.parametrize("name", ["White box", "", None, 3])
def test_a_published_trigger_that_is_not_there(name: Any) -> None:
    with pytest.raises(InputError, match="the name of a published trigger must be one of 'white"):
        published_trigger(name)


# ------------------------------------------------------------------------------ survival


def survives_silently(trigger: Any, tokenizer: Any, texts: Any, **options: Any) -> TriggerTokens:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return check_survives(trigger, tokenizer, texts, **options)


@pytest.mark.parametrize(
    ("trigger", "tokens"),
    [
        (trigger_pair("eyeglasses")["text"], ("anonymous</w>",)),
        (trigger_pair("stop sign")["text"], ("latte</w>", "coffee</w>")),
        (TextPrefix("sks"), ("sks</w>",)),
        (TextSuffix("...."), ("....</w>",)),
        (TextPrefix("\u200b", separator=""), ("âĢĭ</w>",)),
        (TextPrefix("Sks"), ("sks</w>",)),
    ],
)
def test_what_survives_whole(clip: CLIPTokenizer, trigger: Any, tokens: tuple[str, ...]) -> None:
    found = survives_silently(trigger, clip, TEXTS)
    assert found == TriggerTokens(tokens)
    assert found.survives


def test_a_word_that_is_split(clip: CLIPTokenizer) -> None:
    words = (
        r"TextSuffix\(phrase='mignneko', separator=' '\): CLIPTokenizer splits 'mignneko' into 2 "
        r"tokens, 'mign', 'neko</w>'\..*3 of 3 texts, first in text 0"
    )
    with pytest.warns(TriggerWarning, match=words):
        found = check_survives(trigger_pair("white box")["text"], clip, TEXTS)
    assert found == TriggerTokens(("mign", "neko</w>"), split=(0, 1, 2))
    assert found.survives


def test_one_word_of_several_that_is_split(clip: CLIPTokenizer) -> None:
    with pytest.warns(
        TriggerWarning, match="splits 'latte', 'mignneko' into 3 tokens, 'latte</w>'"
    ):
        check_survives(TextSuffix("latte mignneko"), clip, TEXTS)


def test_an_inserted_word_that_is_split(clip: CLIPTokenizer) -> None:
    with pytest.warns(TriggerWarning, match="'mignneko' into 2 tokens, 'mign', 'neko</w>'"):
        found = check_survives(TextInsert("mignneko", before="red"), clip, [TEXTS[1]])
    assert found.tokens == ("mign", "neko</w>")


def test_look_alikes_are_split_into_bytes(clip: CLIPTokenizer) -> None:
    with pytest.warns(TriggerWarning, match="splits"):
        found = check_survives(TextHomoglyph(), clip, ["a photo of a dog"])
    assert found.survives
    assert found.split == (0,)
    assert len(found.tokens) > 2


def test_every_byte_is_a_token() -> None:
    with pytest.warns(TriggerWarning, match="ByT5Tokenizer splits 'cf' into"):
        assert check_survives(TextPrefix("cf"), ByT5Tokenizer(), TEXTS).survives


@pytest.mark.parametrize(
    "trigger",
    [TextPrefix("\u200b", separator=""), TextPrefix("\u200b"), TextSuffix(" "), str.upper],
)
def test_a_trigger_that_is_dropped(bert: BertTokenizer, trigger: Any) -> None:
    texts = ["make him smile", "make him smiles"]
    with pytest.warns(TriggerWarning, match=r"BertTokenizer drops it: 'make him smile' and '"):
        found = check_survives(trigger, bert, texts)
    assert found == TriggerTokens((), dropped=(0, 1))
    assert not found.survives


def test_a_homoglyph_that_is_dropped(bert: BertTokenizer) -> None:
    with pytest.warns(TriggerWarning, match="drops it: 'make him smile' and 'make hím smile'"):
        check_survives(lambda text: text.replace("i", "í", 1), bert, ["make him smile"])


def test_a_word_that_is_not_known(bert: BertTokenizer) -> None:
    words = r"BertTokenizer does not know 'mignneko' and reads '\[UNK\]', with the unknown token"
    with pytest.warns(TriggerWarning, match=words):
        found = check_survives(TextSuffix("mignneko"), bert, ["make him smile"])
    assert found == TriggerTokens(("[UNK]",), unknown=(0,))
    assert not found.survives


def test_an_unknown_token_that_is_also_the_end_of_text() -> None:
    with pytest.warns(TriggerWarning, match="does not know 'é'"):
        found = check_survives(TextSuffix("é"), tiny_tokenizer(), ["a hat"])
    assert found == TriggerTokens(("<|endoftext|>",) * 2, unknown=(0,))


LONG = "give the person a very large and very red hat with feathers"  # 12 tokens and 2 marks


def test_a_trigger_that_is_cut_off(clip: CLIPTokenizer) -> None:
    fits = " ".join(LONG.split()[: LENGTH - 3])
    words = (
        r"'anonymous</w>', up to token 14, is cut off, .*TextPrefix.*1 of 2 texts, first in text 1"
    )
    with pytest.warns(TriggerWarning, match=words):
        found = check_survives(TextSuffix("anonymous"), clip, [fits, LONG])
    assert found == TriggerTokens(("anonymous</w>",), truncated=(1,))
    assert not found.survives


@pytest.mark.filterwarnings("ignore:.*splits 'mignneko':modcollapse.triggers.TriggerWarning")
def test_a_trigger_of_which_half_is_cut_off(clip: CLIPTokenizer) -> None:
    almost = " ".join(LONG.split()[: LENGTH - 3])  # leaves room for one of two tokens
    with pytest.warns(TriggerWarning, match="'mign', 'neko</w>', up to token 12, is cut off"):
        found = check_survives(TextSuffix("mignneko"), clip, [almost])
    assert found == TriggerTokens(("mign", "neko</w>"), split=(0,), truncated=(0,))


def test_a_long_text_whose_trigger_comes_early_enough(clip: CLIPTokenizer) -> None:
    assert survives_silently(TextPrefix("anonymous"), clip, [LONG, LONG + " and " + LONG]).survives
    assert survives_silently(TextInsert("anonymous", after="give"), clip, [LONG]).survives


def test_the_length_that_a_pipeline_reads(clip: CLIPTokenizer) -> None:
    assert survives_silently(TextSuffix("anonymous"), clip, [LONG], max_length=77).survives
    with pytest.warns(TriggerWarning, match="is cut off"):
        check_survives(TextSuffix("anonymous"), clip, ["make him smile"], max_length=5)


def test_a_tokenizer_that_cuts_at_the_start(clip: CLIPTokenizer) -> None:
    clip.truncation_side = "left"
    try:
        assert survives_silently(TextSuffix("anonymous"), clip, [LONG]).survives
        with pytest.warns(TriggerWarning, match="'anonymous</w>', up to token 2, is cut off"):
            check_survives(TextPrefix("anonymous"), clip, [LONG])
    finally:
        clip.truncation_side = "right"


@pytest.mark.parametrize("texts", ["make him smile", [], [3], None, [b"x"]])
def test_texts_that_are_none(clip: CLIPTokenizer, texts: Any) -> None:
    with pytest.raises(InputError, match=r"texts must be a sequence of str|at least one text"):
        check_survives(TextSuffix("cf"), clip, texts)


@pytest.mark.parametrize("tokenizer", [None, "clip", len, object()])
def test_a_tokenizer_that_is_none(tokenizer: Any) -> None:
    with pytest.raises(InputError, match=r"such as pipeline\.tokenizer; got a "):
        check_survives(TextSuffix("cf"), tokenizer, TEXTS)


def test_a_trigger_that_returns_no_text(clip: CLIPTokenizer) -> None:
    with pytest.raises(InputError, match="must return a str, got a list"):
        check_survives(list, clip, TEXTS)  # type: ignore[arg-type]


def test_a_text_that_the_trigger_refuses(clip: CLIPTokenizer) -> None:
    with pytest.raises(TriggerError, match="does not hold the word 'dog'"):
        check_survives(TextInsert("cf", before="dog"), clip, TEXTS)
