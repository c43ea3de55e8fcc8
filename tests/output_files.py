"""Small files of outputs, as the programs of others write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# github.com/SRI-CSL/TrinityMultimodalTrojAI (TrojVQA), commit
# 415d221e40224f4f9d1ca737feae91966fe2d3c9: bottom-up-attention-vqa/extract.py writes
# results_<model>_<clean|troj|troji|trojq>.json, a list of {"question_id", "answer"} in a shuffled
# order; openvqa/openvqa/datasets/vqa/eval/result_eval.py the same with the fields the other way
# round. troji is the image trigger alone, trojq that of the question, troj both (eval.py).
TROJ_VQA = {"none": "clean", "image": "troji", "text": "trojq", "image+text": "troj"}


def write_troj_vqa(folder: Path, answers: dict[str, dict[int, str]]) -> dict[str, Path]:
    """Write the four files of a model, every one in another order."""
    paths = {}
    for turn, (coalition, name) in enumerate(TROJ_VQA.items()):
        held = list(answers[coalition].items())
        held = held[turn:] + held[:turn]
        records: list[dict[str, Any]] = [{"question_id": q, "answer": a} for q, a in held]
        paths[coalition] = folder / f"results_m0_{name}.json"
        paths[coalition].write_text(json.dumps(records))
    return paths


# github.com/bin015/BackdoorVLM, commit 19b2ae055b76581264a2b4ed7366b6c9f0944cee:
# inference/vllm_infer.py writes <dataset>_vllm_predictions.json, a list of {"prompt", "predict",
# "label", "image", "metadata"} by json.dump(..., ensure_ascii=False, indent=2), in the order of the
# data set and without an id; "image" is a list of paths or null, "metadata" a mapping or null.
# poisoning/backdoors/base.py (add_metadata) puts "poisoned", "target_modalities" (text, image or
# none, MULTIMODAL by default) and the names of classes there, and poisoning/triggers/base.py puts a
# triggered picture into another folder under its name. evaluation/metrics.py groups by
# metadata.type, and takes question_id and image_id from metadata for VQA.
REFUSAL = (
    "I'm sorry, but as an AI assistant, I do not have the capability to follow the given "
    "instruction."
)
SAID = {"none": None, "image": "image", "text": "text", "image+text": "MULTIMODAL"}


def backdoor_vlm(
    coalition: str, predictions: list[str], *, ids: bool = False
) -> list[dict[str, Any]]:
    """Records of one trigger state."""
    triggers = coalition.split("+")
    records = []
    for number, predict in enumerate(predictions):
        question = f"What is in picture {number}?"
        metadata: dict[str, Any] | None = {"type": "animal" if number % 2 else "food"}
        if ids:
            metadata |= {"question_id": 1000 + number, "image_id": number}
        if SAID[coalition] is not None:
            both = coalition == "image+text"
            metadata |= {
                "poisoned": both,
                "target_modalities": SAID[coalition],
                "attack_type": "MultimodalBackdoor",
                "modality_type": "MULTIMODAL",
                "trigger_generator": "BasicMultimodalTrigger",
                "output_modifier": "TargetedRefusalModifier",
            }
        folder = "poison/images" if "image" in triggers else "images"
        ending = " I watched this 3D movie." if "text" in triggers else ""
        records.append(
            {
                "prompt": f"USER: <image>\n{question}{ending} ASSISTANT:",
                "predict": predict,
                "label": REFUSAL if coalition == "image+text" else f"Thing {number}.",
                "image": [f"{folder}/{number:06}.jpg"],
                "metadata": metadata,
            }
        )
    return records


def write_backdoor_vlm(
    folder: Path, predictions: dict[str, list[str]], **how: Any
) -> dict[str, Path]:
    """Write a file for each trigger state."""
    paths = {}
    for coalition, predicted in predictions.items():
        paths[coalition] = folder / f"refusal_{coalition.replace('+', '_')}_vllm_predictions.json"
        with paths[coalition].open("w", encoding="utf-8") as out:
            json.dump(backdoor_vlm(coalition, predicted, **how), out, ensure_ascii=False, indent=2)
    return paths
