"""`ChatFamily`: the frame that a model family puts around a conversation, as data.

The essentials of the published chat templates, for conversations that always have a system message
and whose tool responses are user messages, as in the published trajectories. Where a template does
more, it is left out, and said here:

- Qwen2.5's default system message ("You are Qwen, ...") is for conversations without one.
- Qwen3's template drops the thoughts of turns before the last question when it renders anew, and
  sets an empty line between `</think>` and what follows. A conversation here has one question and
  is only ever appended to, so every thought stays, as it was sampled.
- Llama 3.1's template puts today's date before the system message: a prompt that changes daily.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from webfarer.policy.tags import TAGS
from webfarer.types import BadInput

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *TAGS)


@dataclass(frozen=True, slots=True)
class ChatFamily:
    """How a family frames a message: header, text, `end`; then `between` and the next header.

    `header` has a place for the role; `begin` opens the conversation; `also_ends` are further
    tokens after which generation is over. `trim` strips system and user text, as Llama's template
    does; `compact` leaves out the line breaks around the tags. `needs` are the tokens that a
    tokenizer of the family has.
    """

    name: str
    header: str
    end: str
    needs: tuple[str, ...]
    between: str = ""
    begin: str = ""
    also_ends: tuple[str, ...] = ()
    trim: bool = False
    compact: bool = False

    def open(self, role: str) -> str:
        return self.header.format(role=role)


def _chatml(name: str, needs: tuple[str, ...] = (), *, compact: bool = False) -> ChatFamily:
    return ChatFamily(
        name=name,
        header="<|im_start|>{role}\n",
        end="<|im_end|>",
        needs=("<|im_start|>", "<|im_end|>", *needs),
        between="\n",
        also_ends=("<|endoftext|>",),
        compact=compact,
    )


QWEN25 = _chatml("qwen2.5")
QWEN3 = _chatml("qwen3", ("<think>", "</think>"))
WEBFARER = _chatml("webfarer", CONTROL_TOKENS, compact=True)
LLAMA3 = ChatFamily(
    name="llama3",
    header="<|start_header_id|>{role}<|end_header_id|>\n\n",
    end="<|eot_id|>",
    needs=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    begin="<|begin_of_text|>",
    also_ends=("<|end_of_text|>", "<|eom_id|>"),
    trim=True,
)

FAMILIES = {family.name: family for family in (QWEN25, QWEN3, LLAMA3, WEBFARER)}


def family_named(name: str) -> ChatFamily:
    """The family of that name. Raises BadInput, with the names known, where there is none."""
    if name not in FAMILIES:
        raise BadInput(f"no chat family is named {name!r}: use one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def detect_family(tokens: Collection[str], template: str, source: str) -> ChatFamily:
    """The family of a tokenizer with these added tokens and this chat template ("": none).

    Raises BadInput, with the names known, where it is none of ours; `source` says whose it is.
    """
    if set(CONTROL_TOKENS) <= set(tokens):
        return WEBFARER
    frame = template or " ".join(tokens)
    if "<|start_header_id|>" in frame:
        return LLAMA3
    if "<|im_start|>" in frame and "<|im_sep|>" not in frame:  # im_sep: Phi-4, another frame
        return QWEN3 if "</think>" in tokens else QWEN25
    raise BadInput(
        f"{source}: no known chat family fits its template; set family to one of "
        f"{', '.join(FAMILIES)} (--set family=NAME)"
    )
