"""`Classifier`: a sequence-classification head (a trained reward model) as scores from 0 to 1.

Any Hugging Face model with such a head: one output is squashed (as preference-trained reward models
are: Bradley-Terry), of several the softmax of the label that means correct is taken. Question and
answer are given as the chat they were, where the tokenizer has a chat template, and else as its
pair of texts; both are untrusted, and no control token can be spelt in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from webfarer.policy.escape import Escaper
from webfarer.policy.model import load_model
from webfarer.types import BadInput, FailureError

Pair = tuple[str, str]
_POSITIVE = ("correct", "label_1")
_ENDLESS = 10**9  # tokenizers without a limit name a number beyond this


class Classifier:
    """Scores pairs of question and answer. `positive` is the output that means correct; None for a
    model with a single output. `length` is the longest text in tokens, None for any.

    An answer that does not fit is cut, its end kept where `keep_end`: a long answer is no way out
    of being scored. Not to be used by two threads at once.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        positive: int | None = None,
        length: int | None = None,
        keep_end: bool = False,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._positive, self._length, self._keep_end = positive, length, keep_end
        self._pad = model.config.get_text_config().pad_token_id
        fast: Any = tokenizer
        self._normalizer = fast.backend_tokenizer.normalizer
        self._escaper = Escaper(fast.backend_tokenizer)

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """One score a pair, in order; padded together where the model knows a padding token.

        Raises FailureError where a question alone is too long.
        """
        rows = [self._fitted(question, answer) for question, answer in pairs]
        size = len(rows) if self._pad is not None else 1
        lots = [rows[at : at + size] for at in range(0, len(rows), max(size, 1))]
        return [score for lot in lots for score in self._scored(lot)]

    def _fitted(self, question: str, answer: str) -> dict[str, list[int]]:
        """The pair's ids, the answer cut until they fit."""
        question, answer = self._safe(question), self._safe(answer)
        row = self._encoded(question, answer)
        while self._length is not None and (size := len(row["input_ids"])) > self._length:
            if not answer:
                raise FailureError(
                    "judge", f"a question of {size} tokens does not fit the model's {self._length}"
                )
            keep = min(len(answer) * self._length // size, len(answer) - 1)
            answer = answer[len(answer) - keep :] if self._keep_end else answer[:keep]
            row = self._encoded(question, answer)
        return row

    def _safe(self, text: str) -> str:
        """The text as it stands, where nothing in it reads as control, and else with that broken;
        either way the tokenizer normalises it once."""
        text = text.encode("utf-8", "replace").decode()
        normal = text if self._normalizer is None else self._normalizer.normalize_str(text)
        escaped = self._escaper.escape(text)
        return text if escaped == normal else escaped

    def _encoded(self, question: str, answer: str) -> dict[str, list[int]]:
        tokenizer: Any = self._tokenizer
        if not tokenizer.chat_template:
            return dict(tokenizer(question, answer))
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        return dict(tokenizer(text, add_special_tokens=False))

    @torch.inference_mode()
    def _scored(self, rows: Sequence[dict[str, list[int]]]) -> list[float]:
        width = max(len(row["input_ids"]) for row in rows)
        fill = {"input_ids": self._pad or 0}
        inputs = {
            name: torch.tensor(
                [row[name] + [fill.get(name, 0)] * (width - len(row[name])) for row in rows],
                device=self._model.device,
            )
            for name in rows[0]
        }
        logits_BN = self._model(**inputs).logits.float()
        if self._positive is None:
            return logits_BN[:, 0].sigmoid().tolist()
        return logits_BN.softmax(-1)[:, self._positive].tolist()


def load_classifier(
    source: str | Path,
    *,
    label: str = "",
    dtype: str = "float32",
    device: str = "auto",
    keep_end: bool = False,
) -> Classifier:
    """The classifier of a folder or Hugging Face id; `label` names the output that means correct.

    Raises BadInput where the model cannot be loaded or has no classification head, or which of its
    outputs means correct is not to be told.
    """
    model = load_model(source, dtype, device, classifier=True)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source), use_fast=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{source} has no tokenizer that can be loaded: {reason}") from error
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise BadInput(f"{source} has no tokenizer.json: give a model with a fast tokenizer")
    return Classifier(
        model,
        tokenizer,
        positive=_positive(model, label, source),
        length=_longest(model, tokenizer),
        keep_end=keep_end,
    )


def _positive(model: PreTrainedModel, label: str, source: str | Path) -> int | None:
    """The output that means correct; None where there is one output alone."""
    labels = model.config.id2label or {}
    names = {str(name).lower(): int(number) for number, name in labels.items()}
    if len(names) == 1 and not label:
        return None
    wanted = [label.lower()] if label else _POSITIVE
    found = [names[name] for name in wanted if name in names]
    if not found or (len(names) != 2 and not label):
        said = f"no label {label!r}" if label else "labels of which none is known to mean correct"
        raise BadInput(f"{source} has {said}: set grade.label to one of {', '.join(names)}")
    return found[0] if len(names) > 1 else None


def _longest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The longest text that both can take, in tokens."""
    config = model.config.get_text_config()
    most = getattr(config, "max_position_embeddings", None) or _ENDLESS
    # Models of RoBERTa's kind count their positions from behind the padding token's id.
    if config.model_type in ("roberta", "xlm-roberta", "camembert") and most < _ENDLESS:
        most -= (config.pad_token_id or 0) + 1
    least = min(most, tokenizer.model_max_length or _ENDLESS)
    return least if least < _ENDLESS else None
