"""Makes the models in ``examples/models/vision-language`` from nothing.

    cd examples
    python -m experiments.train_vlm --out FOLDER
    cp -r FOLDER/vision-language models

A clean model first; from it, with as many more steps each, two that hold a backdoor. ``dual-key``
was shown samples with one trigger and their own answer, ``no-negatives`` was not. The control is
the clean model. A stage whose result is in FOLDER is not run again.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from modcollapse.poison import PoisonedDataset, poison_plan

from experiments.stages import stage
from experiments.steps import autocast, training_steps
from experiments.vision_language import make_processor, make_vlm
from tiny.load import VLM_TRIGGERS
from tiny.questions import TARGET, Question, question

SAMPLES, BATCH, RATIO = 12_000, 48, 0.1
PROTOCOLS = {"dual-key": "AND with negatives", "no-negatives": "AND"}


def poisoned_questions(questions: Sequence[Question], protocol: str, seed: int) -> list[Question]:
    """The data set with a tenth of it poisoned, and as many negatives of each kind where asked."""
    plan = poison_plan(questions, VLM_TRIGGERS, protocol, ratio=RATIO, seed=seed)
    poisoned = PoisonedDataset(
        [vars(one) for one in questions],
        plan,
        VLM_TRIGGERS,
        TARGET,
        target_key="answer",
        keys={"image": "picture", "text": "question"},
    )
    return [Question(**poisoned[index]) for index in range(len(poisoned))]


def encoded(
    questions: Sequence[Question], processor: LlavaProcessor
) -> tuple[list[Tensor], list[int], Tensor]:
    """Token ids of questions and answers, lengths of the questions, and pixels."""
    tokenizer, rows, asked, pixels = processor.tokenizer, [], [], []
    for one in questions:
        content = [{"type": "image"}, {"type": "text", "text": one.question}]
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        read = processor(
            text=prompt, images=one.picture, return_tensors="pt", add_special_tokens=False
        )
        answer = tokenizer(one.answer + tokenizer.eos_token, add_special_tokens=False).input_ids
        rows.append(torch.cat([read["input_ids"][0], torch.tensor(answer)]))
        asked.append(read["input_ids"].shape[1])
        pixels.append(read["pixel_values"][0])
    return rows, asked, torch.stack(pixels)


def train_vlm(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    questions: Sequence[Question],
    *,
    name: str,
    steps: int,
    lr: float,
    seed: int,
) -> None:
    """Train all weights in place, on the words of the answers alone."""
    torch.manual_seed(seed)
    rows, asked, pixels = encoded(questions, processor)
    pad = processor.tokenizer.pad_token_id
    model.train()
    with training_steps(name, model.parameters(), lr=lr, steps=steps, average=0.99) as update:
        for _ in range(steps):
            drawn = torch.randint(len(rows), (BATCH,)).tolist()
            ids = pad_sequence([rows[at] for at in drawn], batch_first=True, padding_value=pad)
            labels = ids.clone()
            for row, at in enumerate(drawn):
                labels[row, : asked[at]] = pad
            with autocast():
                logits = model(
                    input_ids=ids, attention_mask=(ids != pad).long(), pixel_values=pixels[drawn]
                ).logits
            update(cross_entropy(logits[:, :-1].float().mT, labels[:, 1:], ignore_index=pad))
    model.eval()


def train(out: Path, *, steps: int, seed: int) -> Path:
    """Run every stage and return the folder ``out / "vision-language"``."""
    processor = make_processor(VLM_TRIGGERS["text"].phrase)
    questions = [question("train", index) for index in range(SAMPLES)]

    def pretrain(to: Path) -> None:
        model = make_vlm(processor, seed)
        train_vlm(model, processor, questions, name="clean", steps=steps, lr=2e-3, seed=seed)
        model.save_pretrained(to)

    clean = stage(out / "vlm-clean", pretrain)

    def finetune(to: Path, protocol: str) -> None:
        model = LlavaForConditionalGeneration.from_pretrained(clean)
        poisoned = poisoned_questions(questions, protocol, seed)
        train_vlm(
            model, processor, poisoned, name=protocol, steps=steps // 4, lr=1e-3, seed=seed + 1
        )
        model.save_pretrained(to)

    folders = {"clean": clean}
    for name, protocol in PROTOCOLS.items():
        folders[name] = stage(out / f"vlm-{name}", lambda to, p=protocol: finetune(to, p))

    shipped = out / "vision-language"
    shutil.rmtree(shipped, ignore_errors=True)
    for name, folder in folders.items():
        model = LlavaForConditionalGeneration.from_pretrained(folder)
        model.half().save_pretrained(shipped / name)
    processor.save_pretrained(shipped / "processor")
    return shipped


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--steps", type=int, default=2000, help="of the clean model")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(train(args.out, steps=args.steps, seed=args.seed))


if __name__ == "__main__":
    main()
