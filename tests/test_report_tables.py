"""Tables of audits side by side."""

from __future__ import annotations

import re

import numpy as np
import pytest

import modcollapse as mc
from modcollapse.errors import InputError
from modcollapse.report import comparison_table

RNG = np.random.default_rng(0)


def audit(names=("image", "text"), m=2):
    return mc.audit(mc.CoalitionTable.from_values(RNG.normal(size=(40, 2**m)), names))


def test_every_figure_stands_in_a_row_with_its_interval():
    pair = {"model": audit(), "control": audit()}
    lines = comparison_table(pair).splitlines()
    assert lines[0].split() == ["model", "control"]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "v(none)", "v(image)", "v(text)", "v(image+text)", "phi image", "phi text",
        "CTI image+text",
    ]  # fmt: skip
    phi = pair["control"].tma["text"]
    assert 0.1 <= (phi.high - phi.low) / 2 < 1  # two digits of it are two decimals
    assert lines[6].endswith(f"{phi.value:.2f} [{phi.low:.2f}, {phi.high:.2f}]")


def test_markdown_and_latex_hold_the_same_cells():
    pair = {"my_model": audit(), "control": audit()}
    text = comparison_table(pair).splitlines()
    markdown = comparison_table(pair, fmt="markdown").splitlines()
    latex = comparison_table(pair, fmt="latex").splitlines()
    assert re.fullmatch(r"\|:-+\|-+:\|-+:\|", markdown[1])
    assert len(markdown) == len(text) + 1
    assert latex[0] == r"\begin{tabular}{lrr}"
    assert r"my\_model" in latex[2]
    assert all(line.endswith(r"\\") for line in latex[4:11])
    cell = pair["control"].cti["image+text"]
    for table in (markdown, latex):
        assert any(f"{cell.value:.2f} [{cell.low:.2f}, {cell.high:.2f}]" in line for line in table)
    assert latex[8].partition("&")[0].strip() == r"$\phi$ image"
    odd = comparison_table({r"del phi {x}~^\|": audit()}, fmt="latex").splitlines()[2]
    assert r"del phi \{x\}\textasciitilde{}\textasciicircum{}\textbackslash{}|" in odd
    assert r"a\|b" in comparison_table({"a|b": audit()}, fmt="markdown")


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="at least one"):
        comparison_table({})
    with pytest.raises(InputError, match="'other' has other estimates"):
        comparison_table({"one": audit(), "other": audit(["image", "text", "mask"], 3)})
    with pytest.raises(InputError, match="'one' is Attribution"):
        comparison_table({"one": audit().tma})
    with pytest.raises(InputError, match="html"):
        comparison_table({"one": audit()}, fmt="html")
