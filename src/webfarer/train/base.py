"""The small base model: a tokenizer and a Qwen3-shaped transformer, made from page text alone.

It has read pages of worlds and seen no trajectory: what it can do as an agent, fine-tuning taught
it. Training is the loop of `webfarer.train.sft`, every token of every page trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    tools' schemas, whose JSON is in every call.

    `out` gets `start/` (the tokenizer and the weights before training) and what `fine_tune`
    writes. Killed and run again, it goes on. Raises BadInput where there is no text.
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


def text_segments(source: Path, texts: Iterable[str], length: int) -> list[Segment]:
    """Each text, and an end-of-text token, as segments of at most `length` tokens, all trained.

    A page cannot make a control token: its text is encoded without them.
    """
    tokenizer = load_tokenizer(source)
    digest = tokenizer_hash(source)
    end = tokenizer.token_to_id(END_OF_TEXT)
    tokenizer.encode_special_tokens = True
    segments: list[Segment] = []
    for encoded in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        ids = [*encoded.ids, end]
        for begin in range(0, len(ids), length):
            piece = ids[begin : begin + length]
            if len(piece) > 1:
                segments.append(Segment(digest, piece, [1] * len(piece), [0.0] * len(piece)))
    return segments
