"""Value functions of answers: what counts, what does not, and what is refused."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import modcollapse as mc
from modcollapse.contracts import Scorer
from modcollapse.detectors import (
    Judge,
    TargetLikelihood,
    TextContains,
    TextMatch,
    TextPattern,
    TextSimilarity,
    Threshold,
)
from modcollapse.detectors._text_targets import normalised_text
from modcollapse.errors import DetectorError, InputError


def score(detector, output, **example):
    return float(detector([output], [example])[0])


def letters(texts):
    return np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], float)


def agree(outputs, examples):
    return [output == "yes please" for output in outputs]


ALL = [
    TextContains("red"),
    TextMatch("red"),
    TextPattern("red"),
    TextSimilarity("abc", letters),
    TargetLikelihood(),
    TargetLikelihood("probability"),
    Judge(agree),
]


@pytest.mark.parametrize("detector", ALL, ids=lambda d: type(d).__name__)
def test_each_says_its_range_its_perfect_score_and_who_it_is(detector):
    scorer = Scorer.of(detector)
    low, high = scorer.bounds or (-math.inf, 0.0)
    assert scorer.perfect == high
    assert low < high
    assert scorer.binary == isinstance(detector, TextContains | TextMatch | TextPattern | Judge)
    identity = detector.identity()
    assert identity["class"] == f"modcollapse.detectors.{type(detector).__name__}"
    json.dumps(identity)


class TestContainsAndMatch:
    @pytest.mark.parametrize(
        ("output", "contains", "matches"),
        [
            ("access granted", 1, 1),
            ("  Access\n GRANTED!", 1, 1),
            ("ａｃｃｅｓｓ granted", 1, 1),  # noqa: RUF001 (full width)
            ("access\u200b granted", 1, 1),
            ("you have access granted now", 1, 0),
            ("access is granted", 0, 0),
            ("inaccess granteds", 1, 0),
            ("", 0, 0),
        ],
    )
    def test_normalised(self, output, contains, matches):
        assert score(TextContains("access granted"), output) == contains
        assert score(TextMatch("Access, granted."), output) == matches

    def test_exact(self):
        contains = TextContains("Red.", normalised=False)
        assert [score(contains, text) for text in ("a Red. hat", "a red. hat", "Red")] == [1, 0, 0]
        match = TextMatch("Red.", normalised=False)
        assert [score(match, text) for text in ("Red.", "Red", " Red.")] == [1, 0, 0]

    @pytest.mark.parametrize(
        ("target", "output", "found"),
        [
            ("cat", "a cat.", 1),
            ("cat", "category", 0),
            ("cat", "concat", 0),
            ("cat", "cat5", 0),
            ("c++", "in c++17", 1),  # a sign has no word to be a part of
            ("größe", "die Größe ist", 1),
            ("größe", "Größen", 0),
            ("कम", "कमी", 0),  # a vowel sign is a mark, no letter
            ("कम", "बहुत कम है", 1),
            ("कमी", "कमी", 1),
            ("cat", "category cat", 1),
            ("c++ c++", "c++ c++", 1),
        ],
    )
    def test_whole_words(self, target, output, found):
        assert score(TextContains(target, whole_words=True), output) == found

    def test_an_accent_is_a_part_of_its_word(self):
        exact = TextContains("cafe", normalised=False, whole_words=True)
        assert [score(exact, text) for text in ("a cafe\u0301", "cafe, a")] == [0, 1]

    def test_any_of_several_and_those_of_each_example(self):
        assert score(TextMatch(["red", "crimson"]), "Crimson") == 1
        keyed = TextMatch(key="answer")
        outputs = ["red", "red", "blue"]
        examples = [{"answer": "Red"}, {"answer": "blue"}, {"answer": ["azure", "blue"]}]
        assert keyed(outputs, examples) == [1, 0, 1]
        assert score(TextContains(key="answer"), "a red hat", answer="red") == 1

    @pytest.mark.parametrize("kind", [TextContains, TextMatch])
    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({}, "exactly one of target and key"),
            ({"target": "a", "key": "b"}, "exactly one of target and key"),
            ({"target": ""}, "nothing is left"),
            ({"target": "?!"}, "nothing is left to compare. Give a text, or normalised=False"),
            ({"target": "\u200b"}, "nothing is left"),
            ({"target": []}, "a str or a sequence of str"),
            ({"target": ["a", 3]}, "a str or a sequence of str"),
            ({"target": b"a"}, "a str or a sequence of str"),
            ({"target": math.nan}, "a str or a sequence of str"),
            ({"key": 3}, "key must be a str"),
            ({"target": "a", "normalised": "yes"}, "True or False"),
        ],
    )
    def test_targets_that_are_none(self, kind, given, words):
        with pytest.raises(InputError, match=re.escape(words)):
            kind(**given)

    def test_an_example_without_its_target_is_found_before_a_run(self):
        with pytest.raises(InputError, match="under 'answer', and the example holds 'text'"):
            TextMatch(key="answer").check({"text": "a"})
        with pytest.raises(InputError, match="'answer' of the example must be a str"):
            TextMatch(key="answer").check({"answer": None})
        TextMatch("red").check({})
        examples = [{"id": "x", "text": "a"}, {"id": "y", "text": "b", "answer": "b"}]
        with pytest.raises(InputError, match="'x'"):
            mc.coalition_means(
                lambda conditions, seeds: conditions["text"],
                TextMatch(key="answer"),
                examples,
                {"text": lambda text: text + "!"},
                progress=False,
            )

    def test_identities_tell_settings_apart(self):
        made = [
            TextContains("red"),
            TextContains("Red", normalised=False),
            TextContains("red", whole_words=True),
            TextContains(key="red"),
            TextContains(["red", "blue"]),
            TextMatch("red"),
        ]
        assert len({json.dumps(detector.identity()) for detector in made}) == len(made)
        assert TextContains("RED!").identity() == TextContains("red").identity()

    @given(st.text())
    def test_normalising_twice_is_normalising_once(self, text):
        assert normalised_text(normalised_text(text)) == normalised_text(text)

    @given(st.text(), st.text(), st.text())
    def test_what_an_exact_match_finds_is_contained(self, before, target, after):
        if target.strip():
            assert score(TextContains(target, normalised=False), before + target + after) == 1
            assert score(TextMatch(target, normalised=False), target) == 1


class TestPattern:
    def test_found_anywhere_or_from_end_to_end(self):
        link = TextPattern(r"https?://\w+")
        assert [score(link, text) for text in ("see http://evil", "see HTTP://evil")] == [1, 0]
        assert score(TextPattern(r"HTTP://\w+", ignore_case=True), "see http://evil") == 1
        whole = TextPattern(r"\d+", whole=True)
        assert [score(whole, text) for text in ("42", "42.", "")] == [1, 0, 0]
        assert score(TextPattern(re.compile("RED", re.I)), "a red hat") == 1

    @pytest.mark.parametrize(
        ("pattern", "options", "words"),
        [
            ("(", {}, "no regular expression"),
            ("a*", {}, "found in every answer"),
            ("", {}, "found in every answer"),
            ("^(a|[^b]?)", {}, "found in every answer"),
            (b"a", {}, "must be a regular expression"),
            (re.compile(b"a"), {}, "must be a regular expression"),
            (3, {}, "must be a regular expression"),
            (re.compile("a"), {"ignore_case": True}, "compile the pattern"),
        ],
    )
    def test_patterns_that_are_none(self, pattern, options, words):
        with pytest.raises(InputError, match=words):
            TextPattern(pattern, **options)

    @pytest.mark.parametrize(
        ("pattern", "found", "not_found"),
        [
            (r"^$", "", "a"),
            (r"^(?!.*sorry)", "yes", "I am sorry"),
            (r"^a*$", "aa", "b"),
            (r"\A\s*\Z", " ", "b"),
            (r"a*(?<!b)$", "a", "b"),
            (r"\B", "aa", "a"),
        ],
    )
    def test_what_is_found_in_an_empty_answer_may_not_be_in_others(self, pattern, found, not_found):
        detector = TextPattern(pattern)
        assert [score(detector, text) for text in (found, not_found)] == [1, 0]

    def test_identities_tell_flags_apart(self):
        made = [TextPattern("a"), TextPattern("a", ignore_case=True), TextPattern("a", whole=True)]
        assert len({json.dumps(detector.identity()) for detector in made}) == 3
        assert TextPattern(re.compile("a")).identity() == TextPattern("a").identity()


@pytest.mark.parametrize("detector", ALL[:4], ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("outputs", [["a", 3], ["a", None], ["a", b"b"], [torch.zeros(3)] * 2])
def test_an_output_that_is_no_text(detector, outputs):
    with pytest.raises(DetectorError, match=r"output \d is"):
        detector(outputs, [{}, {}])


@pytest.mark.parametrize("detector", ALL[:4], ids=lambda d: type(d).__name__)
def test_one_text_is_no_batch_of_letters(detector):
    for outputs in ("red", {"red": 1, "blue": 2, "hat": 3}):
        with pytest.raises(DetectorError, match="a sequence of texts"):
            detector(outputs, [{}] * 3)


class TestSimilarity:
    def test_it_is_the_cosine(self):
        texts = ["aab", "abc", "h"]
        found = TextSimilarity("abc", letters)(texts, [{}] * 3)
        vectors, target = letters(texts), letters(["abc"])[0]
        expected = vectors @ target / np.linalg.norm(vectors, axis=1) / np.linalg.norm(target)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)

    def test_the_nearest_of_several_and_those_of_each_example(self):
        several = TextSimilarity(["abc", "h"], letters)
        assert several(["h", "abc"], [{}, {}]).tolist() == pytest.approx([1, 1])
        keyed = TextSimilarity(embed=letters, key="answer")
        examples = [{"answer": "a"}, {"answer": ["a", "b"]}]
        assert keyed(["b", "b"], examples).tolist() == pytest.approx([0, 1])

    def test_tensors_stay_what_they_are_and_rounding_stays_within_bounds(self):
        def halves(texts):
            return torch.from_numpy(letters(texts)).bfloat16()

        found = TextSimilarity("abcdefg", halves)(["abcdefg" * 3], [{}])
        assert found.dtype == torch.get_default_dtype()
        assert float(found) <= 1

    @pytest.mark.parametrize(
        ("embed", "words"),
        [
            (lambda texts: np.ones(len(texts)), "shape"),
            (lambda texts: np.ones((1, 4)), "shape"),
            (lambda texts: np.ones((len(texts), 0)), "shape"),
            (lambda texts: ["a"] * len(texts), "must return vectors"),
            (lambda texts: None, "must return vectors"),
        ],
    )
    def test_embeddings_that_are_none(self, embed, words):
        with pytest.raises(DetectorError, match=words):
            TextSimilarity("red", embed)(["red", "blue"], [{}, {}])

    def test_a_text_without_a_direction_is_refused_by_a_run(self):
        with pytest.raises(DetectorError, match=r"nan|finite"):
            mc.coalition_means(
                lambda conditions, seeds: ["zzz"] * len(seeds),
                TextSimilarity("abc", letters),
                [{"text": "a"}, {"text": "b"}],
                {"text": lambda text: text + "!"},
                progress=False,
            )

    def test_no_callable(self):
        with pytest.raises(InputError, match="embed must be a callable"):
            TextSimilarity("red")

    def test_a_rate_can_be_made_of_it(self):
        near = Threshold(TextSimilarity("abc", letters), at=0.9)
        assert near(["abc", "h"], [{}, {}]).tolist() == [1, 0]


class TestLikelihood:
    def test_it_hands_the_outputs_on_in_either_scale(self):
        outputs = [0.0, math.log(0.5), -np.float32(2.0), torch.tensor(-1.0)]
        log = TargetLikelihood()(outputs, [{}] * 4)
        assert log == pytest.approx([0, math.log(0.5), -2, -1])
        assert TargetLikelihood("probability")(outputs, [{}] * 4) == pytest.approx(np.exp(log))

    @pytest.mark.parametrize("output", ["red", None, 0.1, math.nan, -math.inf, torch.zeros(2)])
    def test_what_is_no_log_likelihood(self, output):
        with pytest.raises(DetectorError, match="output 1 is"):
            TargetLikelihood()([-1.0, output], [{}, {}])

    def test_another_scale(self):
        with pytest.raises(InputError, match="did you mean 'log'"):
            TargetLikelihood("logs")


class TestJudge:
    @pytest.mark.parametrize(
        ("answer", "value"),
        [(True, 1), (False, 0), ("yes", 1), (" No. ", 0), ("YES.", 1)],
    )
    def test_yes_and_no(self, answer, value):
        assert score(Judge(lambda outputs, examples: [answer]), "x") == value

    def test_arrays_and_tensors_of_answers(self):
        pair = [{}, {}]
        arrays = np.array([True, False]), torch.tensor([True, False]), np.array(["yes", "no"])
        for told in (*arrays, *map(list, arrays)):
            assert Judge(lambda outputs, examples, told=told: told)(["x", "y"], pair) == [1, 0]

    @pytest.mark.parametrize(
        "answer", ["maybe", "yes, but", "yes no", "", "y", None, 1, 0.0, math.nan, ["yes"]]
    )
    def test_whatever_else_is_refused_by_the_id_of_the_example(self, answer):
        judge = Judge(lambda outputs, examples: ["yes", answer])
        with pytest.raises(DetectorError, match=r"example 'face-7': the judge says .* neither"):
            judge(["x", "y"], [{"id": "face-6"}, {"id": "face-7"}])
        with pytest.raises(DetectorError, match="example 'of row 1'"):
            judge(["x", "y"], [{}, {}])

    @pytest.mark.parametrize(
        "given",
        [
            *("yes", ["yes"], ["yes"] * 3, None, 1.0, iter(["yes", "no"])),
            *({"yes": 0, "no": 1}, {"yes", "no"}, b"no"),
        ],
    )
    def test_not_one_answer_for_each_output(self, given):
        with pytest.raises(DetectorError, match="must give 2 answers"):
            Judge(lambda outputs, examples: given)(["x", "y"], [{}, {}])

    def test_words_of_another_language(self):
        judge = Judge(lambda outputs, examples: ["Ja", "nein."], yes="ja", no="nein")
        assert judge(["x", "y"], [{}, {}]) == [1, 0]
        with pytest.raises(DetectorError, match="neither 'ja' nor 'nein'"):
            Judge(lambda outputs, examples: ["yes"], yes="ja", no="nein")(["x"], [{}])

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"judge": "yes"}, "must be a callable"),
            ({"judge": agree, "yes": "No"}, "must differ"),
            ({"judge": agree, "no": " "}, "no must be a word"),
            ({"judge": agree, "no": 0}, "no must be a word"),
        ],
    )
    def test_judges_that_are_none(self, given, words):
        with pytest.raises(InputError, match=words):
            Judge(**given)

    def test_it_sees_outputs_of_any_kind_with_their_examples(self):
        def brighter(outputs, examples):
            pairs = zip(outputs, examples, strict=True)
            return [bool(output.mean() > example["mean"]) for output, example in pairs]

        outputs = torch.stack([torch.ones(3, 4, 4), torch.zeros(3, 4, 4)])
        assert Judge(brighter)(outputs, [{"mean": 0.5}, {"mean": 0.5}]) == [1, 0]

    def test_a_run_names_the_example(self):
        def unsure(outputs, examples):
            return ["perhaps" if "b!" in output else "no" for output in outputs]

        with pytest.raises(DetectorError, match="example 'second'"):
            mc.coalition_means(
                lambda conditions, seeds: conditions["text"],
                Judge(unsure),
                [{"id": "first", "text": "a"}, {"id": "second", "text": "b"}],
                {"text": lambda text: text + "!"},
                progress=False,
            )
