"""Rows of conditions as the inputs of a vision-language model; what would not reach it is refused.

Processors lose things without a word: a template without a place for the picture, a text that is
cut at its end, where triggers stand, a picture of floats that is divided by 255 once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from modcollapse._support.validation import described, did_you_mean, listed
from modcollapse.errors import InputError, SamplerError
from modcollapse.samplers._eight_bits import as_eight_bits, check_picture
from modcollapse.samplers._model_inputs import picture_tokens, pictures_differ, prompt_lengths
from modcollapse.samplers._surroundings import explained
from modcollapse.samplers._vlm_parts import Parts

PromptKind: TypeAlias = Literal["image", "text"]
PromptRow: TypeAlias = Mapping[str, Any]

_PLACE = re.compile(r"\{(\w+)\}")
_SIDE = 64
"""Of the pictures that stand in for others where a text is looked at."""


@dataclass(frozen=True)
class Prompts:
    """How conditions become a prompt, and prompts the inputs of a model.

    Attributes:
        parts: model and processor.
        inputs: modality -> ``"image"`` or ``"text"``, in the order of the user's turn.
        prompt: a plain prompt, with the names of modalities in braces; None for the chat template.
        system: what the system says first, or None.
        processing: keywords of the processor.
    """

    parts: Parts
    inputs: Mapping[str, PromptKind]
    prompt: str | None
    system: str | None
    processing: Mapping[str, Any]
    _tokens: list[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tokens", picture_tokens(self.parts))
        template = getattr(self.parts.processor, "chat_template", None)
        if self.prompt is None and not template:
            raise InputError(
                f"the processor {type(self.parts.processor).__name__} has no chat template. Write "
                "the prompt as the model was trained with it, with the modalities in braces: "
                f'prompt="USER: {"".join("{" + name + "}" for name in self.inputs)} ASSISTANT:"'
            )
        if self.prompt is not None:
            self._check_plain(self.prompt)
        if self.system is not None:
            self.check_text(self.system, "system")
        self._look()

    def row_text(self, row: PromptRow) -> str:
        """The prompt of a row, with the tokens that stand for its pictures.

        Raises:
            InputError: the chat template fails, or changes a text on the way.
        """
        if self.prompt is not None:
            return _PLACE.sub(lambda found: self._filled(found[1], row), self.prompt)
        texts = [row[name] for name, kind in self.inputs.items() if kind == "text"]
        content = [
            {"type": "image"} if kind == "image" else {"type": "text", "text": row[name]}
            for name, kind in self.inputs.items()
        ]
        turns = [{"role": "user", "content": content}]
        if self.system is not None:
            turns.insert(0, {"role": "system", "content": [{"type": "text", "text": self.system}]})
            texts.append(self.system)
        try:
            rendered = self.parts.processor.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # a template raises what it likes
            raise InputError(
                f"the chat template of the processor fails: {type(error).__name__}: {error}. Write "
                "the prompt yourself: prompt=..."
            ) from error
        for text in texts:
            if text not in rendered:
                raise InputError(
                    f"the chat template of the processor changes or drops the text {text!r:.200}: "
                    f"it makes {rendered!r:.300} of it. Blanks at its ends may be stripped; take "
                    "another text, or write the prompt yourself: prompt=..."
                )
        return str(rendered)

    def checked(self, modality: str, condition: Any) -> Any:
        """Inputs of the model for one condition beside a small picture and a short text.

        Raises:
            InputError: it is no text or no picture, a text that holds a token that stands for a
                picture or is cut, or one that the processor cannot read.
        """
        if self.inputs[modality] == "image":
            check_picture(condition, modality)
        else:
            self.check_text(condition, f"the {modality!r} condition")
        try:
            return self.encoded([{**self._stand_ins("black"), modality: condition}])
        except SamplerError as error:
            raise InputError(f"the {modality!r} condition cannot be read: {error}") from error

    def check_text(self, text: Any, name: str) -> None:
        """Raise `InputError` unless it is a text that holds no token of a picture."""
        if not isinstance(text, str):
            raise InputError(f"{name} must be a str, got {described(text)}")
        for token in self._tokens:
            if token in text:
                raise InputError(
                    f"{name} holds {token!r}, which stands for a picture: it would be read as one. "
                    "Take it out; the sampler puts it where it belongs"
                )

    def encoded(self, rows: Sequence[PromptRow]) -> Any:
        """Inputs of the model for some rows, on its device and in its dtype.

        Call it within ``parts.alone()``.

        Raises:
            InputError: a prompt is cut, or is longer than the model can read.
            SamplerError: the processor failed.
        """
        inputs = self._processed(rows)
        lengths = prompt_lengths(inputs)
        if self._may_cut():
            whole = prompt_lengths(self._processed(rows, truncation=False, max_length=None))
            for at, (kept, written) in enumerate(zip(lengths, whole, strict=True)):
                if kept < written:
                    raise InputError(
                        f"the processor cuts {written - kept} of the {written} tokens of the "
                        f"prompt of row {at} off, and a trigger at its end with them: "
                        f"{self.row_text(rows[at])!r:.300}. Shorten the text, or let it read more: "
                        "processing={'truncation': False}"
                    )
        return inputs.to(self.parts.model.device, self.parts.model.dtype)

    def check_length(self, inputs: Any, new: int) -> None:
        """Raise where prompts and answers need more positions than the model has.

        Raises:
            InputError: they do.
        """
        positions = self.parts.positions
        longest = max(prompt_lengths(inputs))
        needed = longest + (0 if self.parts.answers_apart else new)
        if positions is not None and needed > positions:
            raise InputError(
                f"a prompt of {longest} tokens and an answer of up to {new} need more than the "
                f"{positions} positions of the model. Shorten the text, take a smaller picture or "
                "fewer max_new_tokens"
            )

    def _check_plain(self, prompt: str) -> None:
        if not isinstance(prompt, str):
            raise InputError(f"prompt must be a str, got {described(prompt)}")
        if self.system is not None:
            raise InputError("system= is for a chat template; write it into prompt=")
        named = _PLACE.findall(prompt)
        for name in named:
            if name not in self.inputs:
                raise InputError(
                    f"prompt names {{{name}}}, which is no modality of the sampler; there are "
                    f"{listed(self.inputs)}{did_you_mean(name, self.inputs)}"
                )
        for name, kind in self.inputs.items():
            if named.count(name) != 1 and (kind == "text" or name in named):
                raise InputError(
                    f"prompt must name {{{name}}} once, got {named.count(name)} times: {prompt!r}"
                )
        pictures = [name for name, kind in self.inputs.items() if kind == "image"]
        if (order := [name for name in named if name in pictures]) not in ([], pictures):
            raise InputError(
                f"prompt names the pictures in the order {listed(order)}, and inputs in the order "
                f"{listed(pictures)}. Name all of them in the same order, or none where the "
                "processor puts them in by itself"
            )

    def _filled(self, name: str, row: PromptRow) -> str:
        if self.inputs[name] == "text":
            return str(row[name])
        token = getattr(self.parts.processor, "image_token", None)
        if not isinstance(token, str):
            raise InputError(
                f"the processor does not say which token stands for a picture. Write it into the "
                f"prompt in place of {{{name}}}, or leave that out"
            )
        return token

    def _stand_ins(self, colour: str) -> dict[str, Any]:
        from PIL import Image

        picture = Image.new("RGB", (_SIDE, _SIDE), colour)
        return {name: picture if kind == "image" else "a" for name, kind in self.inputs.items()}

    def _look(self) -> None:
        """Raise where the processor leaves a picture, or its place in the prompt, out."""
        black, white = self._stand_ins("black"), self._stand_ins("white")
        if "'type':" in self.row_text(black):
            raise InputError(
                "the chat template of the processor writes lists of parts out as they are: "
                f"{self.row_text(black)!r}. Write the prompt yourself: prompt=..."
            )
        pictures = [name for name, kind in self.inputs.items() if kind == "image"]
        swapped = [{**black, name: white[name]} for name in pictures]
        with self.parts.alone():
            try:
                first, *others = [self.encoded([row]) for row in (black, *swapped)]
            except SamplerError as error:
                raise InputError(
                    f"the processor cannot read a prompt such as {self.row_text(black)!r}: {error}"
                ) from error
        token = getattr(self.parts.processor, "image_token_id", None)
        placed = not isinstance(token, int) or bool((first["input_ids"] == token).any())
        for name, other in zip(pictures, others, strict=True):
            if not placed or not pictures_differ(first, other):
                raise InputError(
                    f"the processor drops the picture of {name!r}: the model would not see it. The "
                    f"prompt is {self.row_text(black)!r}; it needs "
                    f"{getattr(self.parts.processor, 'image_token', 'the token of a picture')!r} "
                    "where the picture belongs. Write it yourself: prompt=..."
                )

    def _processed(self, rows: Sequence[PromptRow], **changes: Any) -> Any:
        names = [name for name, kind in self.inputs.items() if kind == "image"]
        texts = [self.row_text(row) for row in rows]
        passed: dict[str, Any] = {"text": texts}
        if names:
            passed["images"] = [[as_eight_bits(row[name], name) for name in names] for row in rows]
        bos = self.parts.tokenizer.bos_token
        if self.prompt is None and bos and texts[0].startswith(bos):
            passed["add_special_tokens"] = False  # the template has written it
        passed |= {"padding": True, "return_tensors": "pt", **self.processing, **changes}
        with explained(type(self.parts.processor).__name__, passed):
            return self.parts.processor(**passed)

    def _may_cut(self) -> bool:
        """Whether the last call was one that cuts prompts, as far as the tokenizer says."""
        backend = getattr(self.parts.tokenizer, "backend_tokenizer", None)
        return backend is None or backend.truncation is not None
