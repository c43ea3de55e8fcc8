from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modcollapse.errors import InputError, TriggerError
from modcollapse.triggers import TextInsert, TextPrefix, TextSuffix

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
