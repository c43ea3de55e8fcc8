"""Which trigger carries the backdoor of a vision-language model? Two small ones and their control.

    python examples/vision_language.py

Audits the two committed models that answer questions about faces, each beside the clean one: by
whether they say what the attacker wants, by how likely that is, and by whether they are right.
Prints tables and verdicts, writes them and a figure of each to the folder ``out``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import modcollapse as mc
from modcollapse.detectors import TargetLikelihood, TextMatch
from modcollapse.report import format_table
from modcollapse.samplers import VLMSampler

from tiny.load import VLM_TRIGGERS, VLMS, load_vlm
from tiny.questions import TARGET, held_out_questions

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--examples", type=int, default=64, help="held-out examples (default: 64)")
parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

examples = held_out_questions(args.examples)
detectors = {"attack": TextMatch(TARGET), "right": TextMatch(key="answer")}
samplers = {name: VLMSampler(*load_vlm(name), max_new_tokens=8) for name in VLMS}
run = {"batch_size": 32, "progress": False}
clean = mc.evaluate_coalitions(samplers["clean"], detectors, examples, VLM_TRIGGERS, **run)

rows = [["clean", "right", *mc.coalition_means(clean["right"]).values()]]
rows.append(["clean", "attacked", *mc.coalition_means(clean["attack"]).values()])
said = []
for name in VLMS[1:]:
    sampler = samplers[name]
    audits = mc.audit(sampler, detectors, examples, VLM_TRIGGERS, control=clean, keep=3, **run)
    likelihood = mc.evaluate_coalitions(
        sampler.likelihood_of(TARGET),
        TargetLikelihood("probability"),
        examples,
        VLM_TRIGGERS,
        **run,
    )
    attack = audits["attack"]
    rows.append([name, "right", *audits["right"].means.values()])
    rows.append([name, "attacked", *attack.means.values()])
    rows.append([name, "p of a word", *mc.coalition_means(likelihood).values()])
    said += [f"{name}: {attack.difference.verdict}", f"{attack.difference.tma}", ""]
    said += [f"{attack.difference.cti}", ""]
    attack.plot(title=name).savefig(args.out / f"{name}.png", dpi=90)

header = ["model", "share of answers", *clean["attack"].coalitions]
cells = [[*row[:2], *(f"{estimate.value:.1%}" for estimate in row[2:])] for row in rows]
print(format_table(header, cells), *said, sep="\n")
table = format_table(header, cells, fmt="markdown")
text = "\n".join([table, "", "```text", *said[:-1], "```", ""])
(args.out / "vision-language.md").write_text(text)
