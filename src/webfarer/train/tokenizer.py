"""A small tokenizer in which a name has the same tokens wherever it stands.

A web agent copies names: out of a page, into a query, out of a list of links, into a URL. The
usual byte-level BPE (GPT-2) takes the space before a word into the word, so that " Taren" in a
sentence and "Taren" after a quotation mark or in `/wiki/Taren_Vollis` share no token, and copying
has to be learnt anew for every neighbour. Here a capitalised word and a digit always stand alone:
the space before one goes to what precedes it, or is a token of its own between two. Words in lower
case keep the usual form. On English prose this costs no more tokens than GPT-2's rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from webfarer.policy.families import CONTROL_TOKENS
from webfarer.store import write_json

END_OF_TEXT = "<|endoftext|>"
END_OF_TURN = "<|im_end|>"

_NAME_FOLLOWS = r"(?=[\p{Lu}\p{N}])"
PIECES = "|".join(
    (
        r"\p{Lu}[\p{L}\p{M}]*",  # a capitalised word
        rf"[ ./]?\p{{Ll}}[\p{{Ll}}\p{{M}}]*(?:/| {_NAME_FOLLOWS})?",  # " was", " in ", "wiki/"
        r"\p{N}",  # a digit
        r"[\p{L}\p{M}]+",  # a script without case
        rf"(?: ?[^\s\p{{L}}\p{{N}}\p{{M}}])+(?: {_NAME_FOLLOWS})?",  # punctuation: `": ["`, ", "
        r"\n+",
        rf" {_NAME_FOLLOWS}",  # between two capitalised words
        r"[^\S\n]+",
    )
)

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- set role = 'user' if message.role == 'tool' else message.role -%}
{{- '<|im_start|>' + role + '\\n' -}}
{%- if message.role == 'tool' -%}
{{- '<tool_response>' + message.content + '</tool_response>' -}}
{%- else -%}
{{- message.content or '' -}}
{%- for call in message.tool_calls or [] -%}
{%- set function = call.function or call -%}
{{- '<tool_call>' + {'name': function.name, 'arguments': function.arguments} | tojson \
+ '</tool_call>' -}}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE of at most `vocab_size` tokens, digits apart, control tokens single.

    Every text round-trips. The same texts give the same tokenizer. Raises ValueError where the
    vocabulary cannot hold the 256 bytes and the control tokens.
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if vocab_size < len(alphabet) + len(CONTROL_TOKENS):
        raise ValueError(
            f"a vocabulary of {vocab_size} cannot hold {len(alphabet)} bytes and "
            f"{len(CONTROL_TOKENS)} control tokens"
        )
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PIECES), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=sorted(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, out: Path, context: int) -> None:
    """Writes tokenizer.json and a tokenizer_config.json that transformers' AutoTokenizer reads.

    The chat template is ChatML; `context` is the longest sequence in tokens.
    """
    tokenizer.save(str(out / "tokenizer.json"))
    write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END_OF_TURN,
            "pad_token": END_OF_TEXT,
            "model_max_length": context,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )
