"""The small base model: a tokenizer and a Qwen3-shaped transformer, made from page text alone.

It has read pages of worlds and seen no trajectory: what it can do as an agent, fine-tuning taught
it. Training is the loop of `webfarer.train.sft`, every token of every page trained.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import torch
from pydantic import Field
from tokenizers import Tokenizer

from webfarer.store import folder
from webfarer.train.folder import load_tokenizer, save_weights, tokenizer_hash
from webfarer.train.sft import Progress, SftSettings, fine_tune
from webfarer.train.tokenizer import END_OF_TEXT, END_OF_TURN, save_tokenizer, train_tokenizer
from webfarer.types import BadInput, Record, Segment, seed_for

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Shape(Record):
    """The sizes of a Qwen3 model. The defaults make 1.05 M parameters, 4.2 MB in float32."""

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 32
    intermediate: int = 384
    context: int = 4096


class BaseSettings(Record):
    """Everything about a base model. Pages longer than `training.length` are read in pieces."""

    vocab_size: int = Field(default=2048, ge=512)
    shape: Shape = Shape()
    training: SftSettings = SftSettings(epochs=1, learning_rate=4e-3)


def make_base(
    settings: BaseSettings,
    texts: Sequence[str],
    out: Path,
    progress: Progress | None = None,
    also_tokenize: Sequence[str] = (),
) -> Path:
    """Makes tokenizer and model from the texts of pages; returns the folder of the model.

    `also_tokenize` is text the tokenizer should have tokens for, and the model does not read: the
    tools' schemas, whose JSON is in every call. `out` gets `start/` (the tokenizer and the weights
    before training) and what `fine_tune` writes. Killed and run again, it goes on. Raises BadInput
    where there is no text.
    """
    out = Path(out)
    if not any(text.strip() for text in texts):
        raise BadInput("no page text to make a base model from")
    start = out / "start"
    if not start.exists():
        with folder(start) as building:
            tokenizer = train_tokenizer([*texts, *also_tokenize], settings.vocab_size)
            save_tokenizer(tokenizer, building, settings.shape.context)
            model = new_model(settings.shape, tokenizer, settings.training.seed)
            save_weights(model, building)
    segments = text_segments(start, texts, settings.training.length)
    return fine_tune(settings.training, start, segments, out, progress)


def new_model(shape: Shape, tokenizer: Tokenizer, seed: int) -> PreTrainedModel:
    """A Qwen3 with tied embeddings and random weights; the same seed gives the same weights."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END_OF_TURN),
        pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("base", seed))
        return Qwen3ForCausalLM(config)


class TextSegments(Sequence[Segment]):
    """Texts as segments whose every token is trained; 4 bytes a token until one is asked for."""

    def __init__(self, tokenizer: str, pieces: Iterable[Sequence[int]]) -> None:
        self._tokenizer = tokenizer
        self._ids = array("i")
        self._ends = array("q", [0])
        for piece in pieces:
            self._ids.extend(piece)
            self._ends.append(len(self._ids))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Segment: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Segment]: ...
    def __getitem__(self, index: int | slice) -> Segment | Sequence[Segment]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        ids = self._ids[self._ends[number] : self._ends[number + 1]].tolist()
        return Segment(self._tokenizer, ids, [1] * len(ids), [0.0] * len(ids))


def text_segments(source: Path, texts: Sequence[str], length: int) -> TextSegments:
    """Each text, and an end-of-text token, as segments of at most `length` tokens.

    A page cannot make a control token: its text is encoded without them.
    """
    return TextSegments(tokenizer_hash(source), _pieces(load_tokenizer(source), texts, length))


def _pieces(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> Iterator[list[int]]:
    end = tokenizer.token_to_id(END_OF_TEXT)
    tokenizer.encode_special_tokens = True
    for first in range(0, len(texts), 1000):  # an encoding takes far more memory than its ids
        batch = list(texts[first : first + 1000])
        for encoded in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            ids = [*encoded.ids, end]
            pieces = (ids[begin : begin + length] for begin in range(0, len(ids), length))
            yield from (piece for piece in pieces if len(piece) > 1)
