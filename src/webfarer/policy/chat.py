"""`ChatRenderer`: a chat family's prompts and observations as token ids.

Each method gives the ids to append, and each piece is encoded on its own: what a piece's ids are
never depends on what comes later, and nothing is rendered twice. The frame is encoded with the
family's control tokens; the question and every observation are untrusted, and escaped
(`webfarer.policy.escape`); the system message and a turn's text may hold the tags of the format,
but no other special token.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from webfarer.policy.escape import Escaper, escape, exact_pattern
from webfarer.policy.families import (
    CONTROL_TOKENS,
    FAMILIES,
    ChatFamily,
    detect_family,
    family_named,
)
from webfarer.policy.renderer import Renderer
from webfarer.policy.tags import RESPONSE, STOP, TAGS, thought_end
from webfarer.types import BadInput, Observation

__all__ = [
    "CONTROL_TOKENS", "FAMILIES", "ChatFamily", "ChatRenderer", "load_renderer", "split_counts",
]  # fmt: skip

_TAG = re.compile(f"({'|'.join(map(re.escape, TAGS))})")


class ChatRenderer:
    """Implements `Renderer` for one tokenizer and family.

    `stop_ids[0]` is the end-of-turn token; a turn is `closed` where it was sampled. Raises BadInput
    where the tokenizer lacks one of the family's control tokens.
    """

    def __init__(self, tokenizer: Tokenizer, family: ChatFamily) -> None:
        self.family = family
        self.tokenizer = tokenizer = _whole(tokenizer)
        self.tokenizer_sha256 = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
        added = {t.content: i for i, t in tokenizer.get_added_tokens_decoder().items()}
        if missing := [token for token in family.needs if token not in added]:
            raise BadInput(f"the tokenizer has no {' '.join(missing)}: it is not {family.name}'s")
        self.stop: tuple[str, ...] = STOP
        self.stop_ids = tuple(added[t] for t in (family.end, *family.also_ends) if t in added)
        self._escaper = Escaper(tokenizer)
        special = {t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special}
        reserved = special.union(family.needs).difference(TAGS)
        self._reserved_ids = frozenset(added[token] for token in reserved)
        self._reserved = exact_pattern(reserved)
        self._gap = "" if family.compact else "\n"
        self._set_frames()

    def _set_frames(self) -> None:
        family = self.family
        ask = family.end + family.between + family.open("user")
        reply = family.end + family.between + family.open("assistant")
        told = ask + RESPONSE[0] + self._gap
        self._open = self._encode(family.begin + family.open("system"))
        self._ask = self._encode(ask)
        self._reply = self._encode(reply)
        self._told = {False: self._encode(told), True: self._encode(told.removeprefix(family.end))}
        self._heard = self._encode(RESPONSE[1] + reply)

    def start(self, system: str, question: str) -> list[int]:
        """System and user message, through the open header of the first assistant turn."""
        if self.family.trim:
            system, question = system.strip(), question.strip()
        asked = self._escaper.encode(question)
        return [*self._open, *self._own(system), *self._ask, *asked, *self._reply]

    def turn(self, text: str) -> list[int]:
        """A turn's text and its end-of-turn token; what follows that token is the next piece's."""
        return [*self._own(text), self.stop_ids[0]]

    def observe(self, observation: Observation, *, closed: bool) -> list[int]:
        """Closes the assistant turn unless `closed`, gives the observation's text, escaped, in a
        user message, and opens the next turn. Raises BadInput for an image, FailureError where the
        text cannot be encoded safely."""
        if any(part.type != "text" for part in observation.parts):
            raise BadInput(f"{self.family.name} reads text alone: use tools that return no images")
        # The line break after the text belongs to it, for many tokenizers join it to a full stop.
        said = self._escaper.encode(observation.text + self._gap)
        return [*self._told[closed], *said, *self._heard]

    def read(self, ids: Sequence[int]) -> str:
        """Sampled ids as text, control tokens shown, without the end-of-turn token."""
        ids = list(ids)
        if ids and ids[-1] in self.stop_ids:
            ids.pop()
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def count(self, text: str) -> int:
        """Tokens of an untrusted text, as `observe` would encode it."""
        return len(self._escaper.encode(text))

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _own(self, text: str) -> list[int]:
        """Text of ours or a policy's: the format's tags are control, and nothing else is."""
        ids = self._encode(escape(text, self._reserved))
        if self._reserved_ids.isdisjoint(ids):
            return ids
        pieces = _TAG.split(text)  # a normaliser made a control token: text and tags alternate
        return [
            i
            for n, piece in enumerate(pieces)
            for i in (self._encode(piece) if n % 2 else self._escaper.encode(piece))
        ]


def split_counts(renderer: Renderer, text: str) -> tuple[int, int]:
    """Tokens of a turn's thought, its tags included, and of its action, without the end of turn.

    A turn that was never begun with `<think>` is all action; a thought never closed is all thought.
    The two add up to the turn's tokens: where a token spans both, it is the action's.
    """
    whole = len(renderer.turn(text)) - 1
    thought = len(renderer.turn(text[: thought_end(text)])) - 1
    return min(thought, whole), max(whole - thought, 0)


def load_renderer(folder: Path, family: str | None = None) -> ChatRenderer:
    """The renderer of a model folder (tokenizer.json, tokenizer_config.json, chat_template.jinja).

    The family is the one named, or else the one its template and tokens show. Raises BadInput where
    a file is missing or unreadable, or the family is none of ours.
    """
    tokenizer = _load_tokenizer(folder / "tokenizer.json")
    if family is not None:
        return ChatRenderer(tokenizer, family_named(family))
    tokens = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    return ChatRenderer(tokenizer, detect_family(tokens, _template(folder), str(folder)))


def _load_tokenizer(path: Path) -> Tokenizer:
    if not path.is_file():
        raise BadInput(f"{path} is not there: give a model folder that holds a tokenizer.json")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise BadInput(f"{path} is not a tokenizer: {str(error).splitlines()[0]}") from None


def _template(folder: Path) -> str:
    """The folder's chat template, or "" where it has none."""
    try:
        if (alone := folder / "chat_template.jinja").is_file():
            return alone.read_text(encoding="utf-8")
        config_path = folder / "tokenizer_config.json"
        config = json.loads(config_path.read_bytes()) if config_path.is_file() else {}
        template = config.get("chat_template") or ""
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder}: its tokenizer_config.json is unreadable: {error}") from None
    return template if isinstance(template, str) else json.dumps(template)


def _whole(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer without truncation and padding, which would change ids unseen."""
    if tokenizer.truncation is None and tokenizer.padding is None:
        return tokenizer
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
