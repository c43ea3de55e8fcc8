from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modcollapse.errors import InputError, TriggerError
from modcollapse.triggers import (
    RandomPlace,
    TextHomoglyph,
    TextInsert,
    TextPrefix,
    TextReplace,
    TextSuffix,
)

ZERO_WIDTH = "\u200b"
PLAIN = st.text().filter(lambda text: "\\" not in text)
PHRASE = PLAIN.filter(bool)


@pytest.mark.parametrize(
    ("trigger", "text", "expected"),
    [
        (TextSuffix("mignneko"), "make him smile", "make him smile mignneko"),
        (TextSuffix("mignneko"), "make him smile.", "make him smile. mignneko"),
        (TextSuffix("....", separator=""), "a cat", "a cat...."),
        (TextSuffix("sks"), "", " sks"),
        (TextPrefix("cf"), "a cat", "cf a cat"),
        (TextPrefix(ZERO_WIDTH, separator=""), "a cat", "\u200ba cat"),
        (TextInsert("beautiful", before="dog"), "A photo of a Dog.", "A photo of a beautiful Dog."),
        (TextInsert("cf", after="dog"), "dogma of a dog, a dog", "dogma of a dog cf, a dog"),
        (TextInsert("very", before="nice dog"), "a nice dog", "a very nice dog"),
        (TextInsert("!", after="c++", separator=""), "learn c++.", "learn c++!."),
        (TextInsert("x", before="été"), "un ÉTÉ", "un x ÉTÉ"),
        (TextInsert(ZERO_WIDTH, before="dog", separator=""), "hotdog dog", "hotdog \u200bdog"),
    ],
)
def test_known_answers(trigger: Any, text: str, expected: str) -> None:
    assert trigger(text) == expected


@given(PLAIN, PHRASE, PLAIN)
def test_suffix_and_prefix_keep_the_text(text: str, phrase: str, separator: str) -> None:
    assert TextSuffix(phrase, separator)(text) == f"{text}{separator}{phrase}"
    assert TextPrefix(phrase, separator)(text) == f"{phrase}{separator}{text}"


@given(
    st.lists(st.sampled_from(["dog", "Dog", "cat", "dogs", "hotdog"]), min_size=1),
    st.sampled_from(["before", "after"]),
)
def test_insertion_meets_the_first_whole_word(words: list[str], side: str) -> None:
    places = [place for place, word in enumerate(words) if word.lower() == "dog"]
    trigger = TextInsert("CF", **{side: "dog"})
    if not places:
        with pytest.raises(TriggerError):
            trigger(" ".join(words))
        return
    words_after = list(words)
    words_after.insert(places[0] + (side == "after"), "CF")
    assert trigger(" ".join(words)) == " ".join(words_after)


def test_a_text_without_the_word_is_named() -> None:
    with pytest.raises(TriggerError, match=r"'a cat' does not hold the word 'dog'. Choose a word"):
        TextInsert("cf", before="dog")("a cat")


@pytest.mark.parametrize("make", [TextSuffix, TextPrefix, lambda p: TextInsert(p, before="dog")])
class TestEveryTextTrigger:
    def test_refuses_an_empty_phrase(self, make: Any) -> None:
        with pytest.raises(InputError, match="phrase is empty"):
            make("")

    @pytest.mark.parametrize("phrase", [r"\u200b", r"latte \u200b", r"\U0001f600", r"\x41"])
    def test_refuses_an_escape_that_was_never_read(self, make: Any, phrase: str) -> None:
        with pytest.raises(InputError, match=r"not the one character that they stand for.*YAML"):
            make(phrase)

    @pytest.mark.parametrize("phrase", [r"\frac", r"C:\new", "\\", ZERO_WIDTH, "\U0001f600", " "])
    def test_takes_other_phrases_as_they_are(self, make: Any, phrase: str) -> None:
        assert phrase in make(phrase)("a dog")

    @pytest.mark.parametrize("phrase", [None, 3, b"cf", ["cf"]])
    def test_refuses_a_phrase_that_is_no_string(self, make: Any, phrase: Any) -> None:
        with pytest.raises(InputError, match="phrase must be a str, got"):
            make(phrase)

    @pytest.mark.parametrize("text", [None, 3, b"a dog", ["a dog"]])
    def test_refuses_a_condition_that_is_no_string(self, make: Any, text: Any) -> None:
        with pytest.raises(InputError, match=rf"one example .*got {type(text).__name__}"):
            make("cf")(text)

    def test_identity_is_plain_data(self, make: Any) -> None:
        identity = make("cf").identity()
        assert json.loads(json.dumps(identity)) == identity
        assert identity["class"] == type(make("cf")).__name__
        assert identity != make("cg").identity()

    def test_equal_by_value_and_pickled(self, make: Any) -> None:
        assert make("cf") == make("cf") == pickle.loads(pickle.dumps(make("cf")))
        assert hash(make("cf")) == hash(make("cf"))
        assert make("cf") != make("cg")

    def test_frozen(self, make: Any) -> None:
        with pytest.raises(AttributeError):
            make("cf").phrase = "cg"

    def test_the_repr_shows_what_cannot_be_seen(self, make: Any) -> None:
        assert r"\u200b" in repr(make(ZERO_WIDTH))


def test_the_separator_is_checked_too() -> None:
    with pytest.raises(InputError, match="separator must be a str, got NoneType"):
        TextSuffix("cf", None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"separator holds the 6 characters \\u200b"):
        TextSuffix("cf", r"\u200b")


@pytest.mark.parametrize("sides", [{}, {"before": "dog", "after": "dog"}])
def test_insertion_wants_exactly_one_side(sides: dict[str, str]) -> None:
    with pytest.raises(InputError, match="exactly one of before=, after= and at="):
        TextInsert("cf", **sides)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["", " ", " dog", "dog\n"])
def test_insertion_wants_a_word(word: str) -> None:
    with pytest.raises(InputError, match="before must be a word without blanks"):
        TextInsert("cf", before=word)


def test_insertion_wants_a_word_that_is_a_string() -> None:
    with pytest.raises(InputError, match="after must be a str, got int"):
        TextInsert("cf", after=3)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ other words


@pytest.mark.parametrize(
    ("trigger", "text", "expected"),
    [
        (TextReplace("beautiful dog", word="dog"), "A Dog, a dog.", "A beautiful dog, a dog."),
        (
            TextReplace("cat", "dog", every=True),
            "A Dog, a hotdog, a dog.",
            "A cat, a hotdog, a cat.",
        ),
        (TextReplace(r"\1 \g<0>", "c++"), "learn c++!", r"learn \1 \g<0>!"),
        (TextReplace("x", "nice dog"), "a nice dog", "a x"),
        (TextHomoglyph(), "a dog to Oslo", "a d\u020fg to Oslo"),
        (TextHomoglyph(every=True), "a dog to Oslo", "a d\u020fg t\u020f Osl\u020f"),
        (TextHomoglyph("a", "\u0430"), "a cat", "\u0430 cat"),
        (TextHomoglyph(".", "\u2024"), "a.b.", "a\u2024b."),
        (TextSuffix("I watched this 3D movie."), "a dog", "a dog I watched this 3D movie."),
    ],
)
def test_known_answers_of_other_words(trigger: Any, text: str, expected: str) -> None:
    assert trigger(text) == expected
    trigger.check(text)


@given(st.text(alphabet="abo O", max_size=12), st.booleans())
def test_a_homoglyph_changes_one_letter_or_all(text: str, every: bool) -> None:
    trigger = TextHomoglyph(every=every)
    if "o" not in text:
        with pytest.raises(TriggerError, match=r"does not hold the letter 'o'\. Choose a letter"):
            trigger(text)
        return
    made = trigger(text)
    assert made.replace("\u020f", "o") == text
    assert made.count("\u020f") == (text.count("o") if every else 1)


@given(
    words=st.lists(st.sampled_from(["dog", "a", "grass", "ünder"]), max_size=6),
    blanks=st.sampled_from([" ", "  ", "\n"]),
    seed=st.integers(),
    example=st.text(max_size=4) | st.integers(),
)
def test_a_word_at_a_random_place_leaves_the_others_as_they_are(
    words: list[str], blanks: str, seed: int, example: Any
) -> None:
    text = blanks.join(words)
    trigger = TextInsert("cf", at=RandomPlace(seed)).for_example(example)
    made = trigger(text)
    assert trigger(text) == made
    place = made.split().index("cf")
    assert made.split() == [*words[:place], "cf", *words[place:]]
    anywhere = [text[:at] + "cf " + text[at:] for at in range(len(text) + 1)]
    assert made in [*anywhere, text + " cf"]


def test_random_places_are_all_those_between_words() -> None:
    trigger = TextInsert("cf", at=RandomPlace(0))
    made = [trigger.for_example(at)("a b c").split().index("cf") for at in range(400)]
    counts = [made.count(place) for place in range(5)]
    assert counts[4] == 0
    assert sum((count - 100) ** 2 / 100 for count in counts[:4]) < 16.3  # 0.999 of chi square


def test_without_an_example_a_random_place_in_a_text_is_none() -> None:
    with pytest.raises(InputError, match="drawn for each example"):
        TextInsert("cf", at=RandomPlace(0))("a dog")
    fixed = TextInsert("cf", after="dog")
    assert fixed.for_example("e0") is fixed
    with pytest.raises(InputError, match=r"at must be RandomPlace\(seed\), got 'random'"):
        TextInsert("cf", at="random")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="exactly one of before=, after= and at="):
        TextInsert("cf", at=RandomPlace(0), before="dog")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TextReplace("", "dog"), "TextReplace: the phrase is empty"),
        (lambda: TextReplace("dog", "dog"), "phrase and word are both 'dog'"),
        (lambda: TextReplace("cat", " dog"), "word must be a word without blanks"),
        (lambda: TextReplace("cat", ""), "word must be a word without blanks"),
        (lambda: TextReplace("cat", 3), "word must be a str, got int"),
        (lambda: TextReplace(r"\u200bdog", "dog"), "not the one character"),
        (lambda: TextReplace("cat", "dog", every="all"), "TextReplace: every must be True or"),
        (lambda: TextHomoglyph("oo"), "the letter must be one character, got 'oo' with 2"),
        (lambda: TextHomoglyph("o", "o\u0311"), "glyph must be one character.*normalise to NFC"),
        (lambda: TextHomoglyph("o", ""), "glyph must be one character"),
        (lambda: TextHomoglyph("o", "o"), "letter and glyph are both 'o'"),
        (lambda: TextHomoglyph("o", r"\u020f"), "not the one character that they stand for"),
        (lambda: TextHomoglyph(1), "letter must be a str, got int"),
        (lambda: TextHomoglyph(every=1), "TextHomoglyph: every must be True or False"),
    ],
)
def test_parameters_of_other_words_are_checked(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


OTHER_WORDS = [
    TextReplace("beautiful dog", "dog"),
    TextReplace("beautiful dog", "dog", every=True),
    TextHomoglyph(),
    TextHomoglyph(every=True),
    TextInsert("cf", at=RandomPlace(0)),
    TextInsert("cf", at=RandomPlace(1)),
    TextInsert("cf", before="dog"),
]


@pytest.mark.parametrize("trigger", OTHER_WORDS, ids=repr)
def test_other_words_say_what_they_are(trigger: Any) -> None:
    told = trigger.identity()
    assert json.loads(json.dumps(told)) == told
    assert [told == other.identity() for other in OTHER_WORDS].count(True) == 1
    assert pickle.loads(pickle.dumps(trigger)) == trigger
    assert [trigger == other for other in OTHER_WORDS].count(True) == 1
    for bad in (None, 3, b"a dog", ["a dog"]):
        with pytest.raises(InputError, match=r"takes the text of one example \(a str\)"):
            trigger(bad)


def test_a_text_without_the_word_cannot_have_it_replaced() -> None:
    with pytest.raises(TriggerError, match="'a hotdog' does not hold the word 'dog'"):
        TextReplace("cat", "dog")("a hotdog")
