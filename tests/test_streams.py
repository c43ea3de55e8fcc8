"""Examples that are read once, some at a time: the same table as of a list, in flat memory."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.errors import InputError, TableError, TriggerError
from modcollapse.measure import evaluate_coalitions
from modcollapse.samplers import planted_game
from modcollapse.table import JournalWarning

PAIR = ["image", "text"]
GAME = planted_game([0.0, 0.2, 0.7, 1.0], PAIR, examples=150, noise=0.1)
SAMPLER, DETECTOR, EXAMPLES, TRIGGERS = GAME


def measured(examples, **options):
    return evaluate_coalitions(
        SAMPLER, DETECTOR, examples, TRIGGERS, **{"progress": False, **options}
    )


def assert_same(table, other):
    np.testing.assert_array_equal(table.values, other.values)
    np.testing.assert_array_equal(table.seeds, other.seeds)
    assert table.example_ids == other.example_ids
    assert table.digests == other.digests
    assert table.fields == other.fields
    assert table.provenance == other.provenance


@pytest.mark.parametrize("batch_size", [1, 7, 8, 100])
def test_a_stream_gives_the_table_of_the_list(batch_size):
    of_stream = measured(iter(EXAMPLES), batch_size=batch_size, repeats=2)
    assert_same(of_stream, measured(EXAMPLES, batch_size=batch_size, repeats=2))


def test_a_streaming_data_set_with_columns_of_its_own():
    datasets = pytest.importorskip("datasets")
    rows = [{"id": f"e{at}", "source": float(at), "edit": "hat" * (at + 1)} for at in range(90)]
    stream = datasets.Dataset.from_list(rows).to_iterable_dataset()

    def sampler(conditions, seeds):
        pairs = zip(conditions["image"], conditions["text"], strict=True)
        return [number + len(text) for number, text in pairs]

    call = (sampler, lambda outputs, examples: outputs)
    triggers = {"image": lambda number: number + 0.5, "text": lambda text: text + "!"}
    columns = {"image": "source", "text": "edit"}
    found = evaluate_coalitions(*call, stream, triggers, columns=columns, progress=False)
    assert_same(found, evaluate_coalitions(*call, rows, triggers, columns=columns, progress=False))


def test_every_example_is_read_once_and_not_long_before_it_is_generated():
    read, most = [], []

    def stream():
        for at, example in enumerate(EXAMPLES):
            read.append(at)
            yield example

    def sampler(conditions, seeds):
        most.append(len(read))
        return SAMPLER(conditions, seeds)

    evaluate_coalitions(sampler, DETECTOR, stream(), TRIGGERS, progress=False)
    assert read == list(range(len(EXAMPLES)))
    assert most[0] == 64
    assert max(np.diff(most)) <= 64


def test_memory_does_not_grow_with_what_the_examples_hold():
    def stream(count):
        for at in range(count):
            yield {"image": np.full((64, 64), at % 251, np.uint8), "text": "hat"}

    def peak(count):
        tracemalloc.start()
        try:
            evaluate_coalitions(
                lambda conditions, seeds: [0.5] * len(seeds),
                lambda outputs, examples: outputs,
                stream(count),
                {"image": lambda image: image + 1, "text": lambda text: text + "!"},
                batch_size=64,
                progress=False,
                probe=False,
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(64)  # what is imported and cached once
    few, many = peak(128), peak(1024)
    assert many - few < 896 * 2_000  # bytes an example, of which each holds 4,096 twice


class TestFaults:
    def test_a_stream_that_is_empty_or_used_up(self):
        used = iter(EXAMPLES[:3])
        list(used)
        with pytest.raises(InputError, match="empty, or was read to its end before"):
            measured(used)

    def test_a_bad_example_is_told_by_its_place_and_what_came_before_is_kept(self):
        bad = [*EXAMPLES[:100], {"id": "bad", "image": EXAMPLES[0]["image"]}, *EXAMPLES[100:]]
        with pytest.raises(InputError, match="'bad' has no condition for the modality 'text'") as e:
            measured(iter(bad))
        assert len(e.value.tables) == 64
        np.testing.assert_array_equal(e.value.tables.values, measured(EXAMPLES[:64]).values)

    def test_a_stream_that_fails(self):
        def failing():
            yield from EXAMPLES[:70]
            raise OSError("the connection is gone")

        with pytest.raises(OSError, match="gone") as error:
            measured(failing())
        assert "raised by the stream of examples, after 64" in error.value.__notes__
        assert len(error.value.tables) == 64

    def test_an_id_twice_far_apart(self):
        named = [{**example, "id": f"e{at}"} for at, example in enumerate(EXAMPLES)]
        with pytest.raises(InputError, match="examples 1 and 130 of the stream share the id 'e1'"):
            measured(iter([*named[:130], named[1]]))

    def test_groups_by_place(self):
        with pytest.raises(InputError, match="cannot be told by place"):
            measured(iter(EXAMPLES), cluster=[0] * 150)

    def test_a_trigger_that_does_nothing_later_on(self):
        def trigger(text):
            return text if text == "example 140" else TRIGGERS["text"](text)

        triggers = {**TRIGGERS, "text": trigger}
        with pytest.raises(TriggerError, match="returned its input unchanged") as error:
            evaluate_coalitions(SAMPLER, DETECTOR, iter(EXAMPLES), triggers, progress=False)
        assert "example 140, trigger of 'text'" in error.value.__notes__
        assert len(error.value.tables) == 128

    def test_a_tracker_reads_its_examples_many_times(self):
        with pytest.raises(InputError, match="a stream is read once"):
            mc.CollapseTracker(SAMPLER, DETECTOR, iter(EXAMPLES), TRIGGERS, modules=[])


def test_groups_by_key():
    grouped = [{**example, "source": at // 3} for at, example in enumerate(EXAMPLES)]
    assert_same(measured(iter(grouped), cluster="source"), measured(grouped, cluster="source"))


class TestLooks:
    def test_they_follow_the_order_of_the_stream_and_say_so(self):
        looks = mc.Looks(at=(32, 64, 128), half_width=0.2)
        found = mc.audit(*GAME[:2], iter(EXAMPLES), TRIGGERS, stop=looks, progress=False)
        assert found.table.example_ids == tuple(range(len(found.table)))
        assert len(found.table) in (32, 64, 128)
        assert "by the order of the stream" in str(found)
        whole = measured(EXAMPLES)
        np.testing.assert_array_equal(found.table.values, whole.values[: len(found.table)])

    def test_no_more_is_read_than_the_last_look_needs(self):
        coming = iter(EXAMPLES)
        looks = mc.Looks(at=(32, 100), half_width=1e-9)
        found = mc.audit(*GAME[:2], coming, TRIGGERS, stop=looks, progress=False)
        assert len(found.table) == 100
        assert next(coming) == EXAMPLES[100]
        assert "All looks were taken" in str(found)

    def test_a_stream_that_ends_before_its_last_look(self):
        looks = mc.Looks(at=(32, 1000), half_width=1e-9)
        found = mc.audit(*GAME[:2], iter(EXAMPLES), TRIGGERS, stop=looks, progress=False)
        assert len(found.table) == 150
        assert str(found).startswith("150 examples of a run with 2 looks.")

    def test_they_must_be_declared(self):
        with pytest.raises(InputError, match="Declare them"):
            mc.audit(*GAME[:2], iter(EXAMPLES), TRIGGERS, stop=mc.Looks(), progress=False)


class TestJournal:
    def test_a_stream_goes_on_where_it_was_interrupted(self, tmp_path):
        calls = []

        def sampler(conditions, seeds):
            calls.append(len(seeds))
            if len(calls) == 45:
                raise KeyboardInterrupt
            return SAMPLER(conditions, seeds)

        run = (sampler, DETECTOR)
        with pytest.raises(KeyboardInterrupt) as error:
            evaluate_coalitions(*run, iter(EXAMPLES), TRIGGERS, journal=tmp_path, progress=False)
        done = len(error.value.tables)
        assert 64 < done < 100
        before = len(calls)
        found = evaluate_coalitions(
            *run, iter(EXAMPLES), TRIGGERS, journal=tmp_path, progress=False
        )
        np.testing.assert_array_equal(found.values, measured(EXAMPLES).values)
        assert len(calls) - before <= -(-(150 - done) * 4 // 8) + 6  # looks, and the one made again
        np.testing.assert_array_equal(mc.table.load(tmp_path).values, found.values)

    def test_what_is_taken_is_written_down_before_it_is_generated(self, tmp_path):
        def sampler(conditions, seeds):
            (file,) = tmp_path.glob("finished-*.jsonl")
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            (taken,) = (line for line in lines if "modcollapse taken" in line)
            assert taken["ids"] == list(range(10))
            assert all(taken["digests"])
            return SAMPLER(conditions, seeds)

        stream = iter(EXAMPLES[:10])
        evaluate_coalitions(sampler, DETECTOR, stream, TRIGGERS, journal=tmp_path, progress=False)

    def test_another_stream_is_refused(self, tmp_path):
        measured(iter(EXAMPLES[:20]), journal=tmp_path)
        with pytest.raises(TableError, match="at place 0 of the stream stood example 0"):
            measured(iter(EXAMPLES[::-1]), journal=tmp_path)

    @pytest.mark.parametrize("n", [1, 64, 69])
    def test_a_stream_that_ends_earlier_than_it_did_is_told(self, tmp_path, n):
        measured(iter(EXAMPLES[:70]), journal=tmp_path)
        with pytest.warns(JournalWarning, match=rf"ended after {n} examples, and {70 - n} more"):
            table = measured(iter(EXAMPLES[:n]), journal=tmp_path)
        assert len(table) == n
        assert len(measured(iter(EXAMPLES[:70]), journal=tmp_path)) == 70  # and says nothing

    def test_a_longer_stream_extends_it(self, tmp_path):
        measured(iter(EXAMPLES[:70]), journal=tmp_path)
        assert_values = measured(EXAMPLES).values
        np.testing.assert_array_equal(
            measured(iter(EXAMPLES), journal=tmp_path).values, assert_values
        )


def test_what_is_kept_is_of_the_first_examples():
    kept = measured(iter(EXAMPLES), keep=70).kept
    assert [one.id for one in kept] == list(range(70))
    assert all(len(one.outputs) == 4 for one in kept)


def test_several_detectors_and_a_control():
    both = {"one": DETECTOR, "two": DETECTOR}
    control = planted_game([0.0, 0.1, 0.0, 0.1], PAIR, examples=150, noise=0.1).sampler
    of_stream = mc.audit(SAMPLER, both, iter(EXAMPLES), TRIGGERS, control=control, progress=False)
    of_list = mc.audit(SAMPLER, both, EXAMPLES, TRIGGERS, control=control, progress=False)
    for name in both:
        assert str(of_stream[name]) == str(of_list[name])


def test_a_stream_whose_beginning_is_finished_is_still_looked_at(tmp_path):
    """And one finished example is generated again for all of it, not one for each part."""
    measured(iter(EXAMPLES[:130]), journal=tmp_path)
    calls = []

    class Probing:
        modalities = PAIR

        def __call__(self, conditions, seeds):
            calls.append(len(seeds))
            return SAMPLER(conditions, seeds)

        def probe(self, conditions, seeds):
            calls.append("probe")
            return ["was probed"]

        def identity(self):
            return {"class": "modcollapse.samplers.PlantedSampler", "noise": 0.1}

    folder = tmp_path / "probing"
    run = {"progress": False, "journal": folder}
    evaluate_coalitions(Probing(), DETECTOR, iter(EXAMPLES[:130]), TRIGGERS, **run)
    calls.clear()
    found = evaluate_coalitions(Probing(), DETECTOR, iter(EXAMPLES), TRIGGERS, **run)
    assert calls == [8, "probe"] + [8] * 10  # once again, then 20 new examples
    assert found.run_notes.count("was probed") == 1


def test_memory_that_ran_out_is_not_asked_for_again_in_the_next_part():
    too_many = []

    def sampler(conditions, seeds):
        if len(seeds) > 4:
            too_many.append(len(seeds))
            raise MemoryError
        return SAMPLER(conditions, seeds)

    found = evaluate_coalitions(sampler, DETECTOR, iter(EXAMPLES), TRIGGERS, progress=False)
    np.testing.assert_array_equal(found.values, measured(EXAMPLES).values)
    assert too_many == [8]
    assert [note for note in found.run_notes if "memory" in note] == [
        "memory ran out in a call of 8 rows: from example 0 on there were 4"
    ]
