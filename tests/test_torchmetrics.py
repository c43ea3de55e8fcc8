"""The classes of torchmetrics give what mc.tma and mc.cti give of all values, whoever held them."""

from __future__ import annotations

import multiprocessing
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics import MetricCollection, MetricTracker

import modcollapse as mc
from modcollapse.errors import InputError
from modcollapse.studies import CrossTriggerInteraction, TriggerModalityAttribution

NAMES = ["image", "text", "audio"]


def values_of(n: int, m: int = 2, repeats: int | None = None, seed: int = 0) -> np.ndarray:
    shape = (n, 2**m) if repeats is None else (n, repeats, 2**m)
    return np.random.default_rng(seed).normal(size=shape)


def means(result: mc.analysis.Estimates) -> list[float]:
    return [estimate.value for estimate in result.values()]


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    m=st.integers(2, 3),
    repeats=st.sampled_from([None, 1, 3]),
)
def test_batches_of_any_sizes_give_the_figures_of_all_values(sizes, m, repeats):
    values = values_of(sum(sizes), m, repeats)
    attribution, interaction = (
        kind(NAMES[:m]) for kind in (TriggerModalityAttribution, CrossTriggerInteraction)
    )
    for part in np.split(values, np.cumsum(sizes)[:-1]):
        attribution.update(torch.from_numpy(part))
        interaction.update(part)
    table = mc.CoalitionTable.from_values(values, NAMES[:m])
    assert attribution.compute().shape == (m,)
    assert attribution.compute().tolist() == pytest.approx(means(mc.tma(table)), abs=1e-12)
    found = np.atleast_1d(interaction.compute().numpy())
    assert found == pytest.approx(means(mc.cti(table)), abs=1e-12)
    assert interaction.labels == tuple(mc.cti(table))


@pytest.mark.parametrize("index", ["SII", "STII", "k-SII", "BII", "moebius"])
def test_every_index_and_order(index):
    values = values_of(6, 3)
    table = mc.CoalitionTable.from_values(values, NAMES)
    for order in (2, 3):
        metric = CrossTriggerInteraction(NAMES, index, order)
        metric.update(values)
        expected = means(mc.cti(table, index=index, order=order))
        assert np.atleast_1d(metric.compute().numpy()) == pytest.approx(expected, abs=1e-12)


def test_the_table_of_all_values_has_the_intervals_of_the_library():
    values = (values_of(64) > 0).astype(float)
    metric = TriggerModalityAttribution(["image", "text"])
    for part in np.split(values, 4):
        metric.update(part)
    table = metric.table(binary=True)
    expected = mc.CoalitionTable.from_values(values, ["image", "text"], binary=True)
    assert str(mc.audit(table)) == str(mc.audit(expected))


def test_values_are_held_in_float64_and_no_figure_is_rounded_on_the_way():
    metric = TriggerModalityAttribution(["image", "text"]).half().float()
    metric.update(torch.tensor([[0.0, 0.0, 1.0, 1.0 + 2**-40]], dtype=torch.float64))
    assert metric.compute().dtype == torch.float64
    assert metric.compute().sum().item() == 1 + 2**-40
    metric.update(torch.tensor([[0, 0, 1, 1]]))  # whole numbers, as of successes
    metric.update(torch.tensor([[0, 0, 1, 1]], dtype=torch.bool))
    metric.update(torch.tensor([[0, 0, 1, 1]], dtype=torch.bfloat16, requires_grad=True))
    assert metric.compute()[1].item() == pytest.approx(1, abs=1e-12)


def test_no_example_is_nan_and_a_reset_forgets():
    metric = TriggerModalityAttribution(["image", "text"])
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert metric.compute().isnan().all()
    with pytest.raises(InputError, match="no example was given"):
        metric.table()
    metric.update([[0.0, 1.0, 0.0, 1.0]])
    assert metric.compute().tolist() == [1, 0]
    metric.reset()
    metric.update([[0.0, 0.0, 1.0, 1.0]])
    assert metric.compute().tolist() == [0, 1]


def test_a_collection_holds_the_values_once_and_forward_gives_the_batch():
    both = MetricCollection(
        [TriggerModalityAttribution(["image", "text"]), CrossTriggerInteraction(["image", "text"])]
    )
    values = values_of(8)
    for part in (values[:3], values[3:]):
        of_batch = both(torch.from_numpy(part))
    table = mc.CoalitionTable.from_values(values[3:], ["image", "text"])
    assert of_batch["CrossTriggerInteraction"].item() == pytest.approx(float(mc.cti(table)))
    found = both.compute()
    table = mc.CoalitionTable.from_values(values, ["image", "text"])
    assert found["TriggerModalityAttribution"].tolist() == pytest.approx(means(mc.tma(table)))
    assert found["CrossTriggerInteraction"].item() == pytest.approx(float(mc.cti(table)))
    both.reset()
    both.update(values)  # which, unlike forward, finds out what is held twice
    both.update(values)
    assert both.compute()["CrossTriggerInteraction"].item() == pytest.approx(float(mc.cti(table)))
    assert len(both.compute_groups) == 1


def test_it_is_saved_and_drawn_as_other_metrics(tmp_path):
    metric = TriggerModalityAttribution(["image", "text"])
    metric.persistent(True)
    metric.update(values_of(4))
    other = TriggerModalityAttribution(["image", "text"])
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    other.update(values_of(2, seed=1))
    metric.update(values_of(2, seed=1))
    assert other.compute().tolist() == metric.compute().tolist()
    figure, _ = metric.plot()
    figure.savefig(tmp_path / "tma.png")
    assert (tmp_path / "tma.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3)), r"\(B, 4\) or \(B, R, 4\).*image, text, image\+text; got \(2, 3\)"),
        (np.zeros(4), r"got \(4,\)"),
        (np.zeros((2, 0, 4)), r"got \(2, 0, 4\)"),
        ([[0, 0, 1, float("nan")]], "NaN or infinite"),
        ([[0, 0, 1, float("inf")]], "NaN or infinite"),
        (torch.zeros(1, 4, dtype=torch.complex64), "must be real"),
        (np.zeros((1, 4), complex), "must be real numbers, got complex128"),
        ([["a"] * 4], "must be real numbers, got <U1"),
        ([[None] * 4], "must be real numbers, got object"),
        ([[0.0] * 4, [0.0]], "must be an array or a tensor"),
    ],
)  # fmt: skip
def test_values_of_another_shape_or_kind_are_refused_and_leave_nothing(values, message):
    metric = TriggerModalityAttribution(["image", "text"])
    metric.update([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(InputError, match=message):
        metric.update(values)
    assert metric.compute().tolist() == [0, 1]


def test_no_figure_is_the_better_one_and_a_tracker_must_be_told():
    metric = CrossTriggerInteraction(["image", "text"])
    with pytest.raises(AttributeError, match="provide the `maximize` argument"):
        MetricTracker(metric)
    tracker = MetricTracker(metric, maximize=False)
    for value in (1.0, 0.5):
        tracker.increment()
        tracker.update([[0.0, 0.0, 0.0, value]])
    assert tracker.compute_all().tolist() == [1, 0.5]
    assert tracker.best_metric(return_step=True) == (0.5, 1)


def test_names_and_orders_that_are_none_are_refused():
    for names in ("image", ["image", "image"], [], ["none"], [3], {"image", "text"}):
        with pytest.raises(InputError):
            TriggerModalityAttribution(names)
    for options in ({"order": 3}, {"order": 1}, {"index": "SSI"}):
        with pytest.raises(InputError):
            CrossTriggerInteraction(["image", "text"], **options)


def on_a_process(rank: int, meeting: Path, cases: list[list[np.ndarray]], found) -> None:
    """Hold one share of the values of each case, reduce, and send what was computed."""
    try:
        torch.distributed.init_process_group(
            "gloo", init_method=meeting.as_uri(), rank=rank, world_size=2
        )
        found.put((rank, [reduced(shares[rank]) for shares in cases]))
        torch.distributed.destroy_process_group()
    except BaseException:
        found.put((rank, traceback.format_exc()))


def reduced(share: np.ndarray) -> tuple[dict[str, list[float]], list[Any], int]:
    """Metrics of all processes, the values in the table, and their number."""
    both = MetricCollection(
        [TriggerModalityAttribution(NAMES), CrossTriggerInteraction(NAMES, order=2)]
    )
    for part in share:
        both.update(torch.from_numpy(part[None]))
    if len(share) == 0:
        both["TriggerModalityAttribution"]._update_count = 1  # no warning that nothing came
        both["CrossTriggerInteraction"]._update_count = 1
    metrics = {name: value.tolist() for name, value in both.compute().items()}
    table = both["TriggerModalityAttribution"].table()
    own = len(both["TriggerModalityAttribution"].table().values)  # the shares are as before
    return metrics, table.values[:, 0].tolist(), own


def test_two_processes_compute_what_one_computes_of_all_examples(tmp_path):
    """Both hold values, or one holds all of them."""
    held = [values_of(7, 3, repeats=2), values_of(4, 3, repeats=2)]
    cases = [np.split(values, [count]) for values, count in zip(held, (5, 4), strict=True)]
    # Forks of a process whose threads have computed hang in their first tensor operation.
    spawned = multiprocessing.get_context("spawn")
    found = spawned.Queue()
    processes = [
        spawned.Process(target=on_a_process, args=(rank, tmp_path / "meeting", cases, found))
        for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    results = [found.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
    for _, of_cases in results:
        assert not isinstance(of_cases, str), of_cases
        for values, (metrics, held_by_table, count) in zip(held, of_cases, strict=True):
            table = mc.CoalitionTable.from_values(values, NAMES)
            assert metrics["TriggerModalityAttribution"] == pytest.approx(
                means(mc.tma(table)), abs=1e-12
            )
            assert metrics["CrossTriggerInteraction"] == pytest.approx(
                means(mc.cti(table)), abs=1e-12
            )
            assert held_by_table == table.example_values.tolist()
            assert count == len(values)
