"""Untrusted text as token ids: what a page says can never be read as control.

Two guards, each enough for one way in. The text is broken where it spells a tag, a chat frame's
marker or a special token: `</tool_response>` becomes `<·/tool_response>`, which a reader still
understands (in some families tags are several ordinary tokens, so ids alone would not show them).
The ids come from the tokenizer's model without its added tokens, so that none of those can be
matched at all, special or not. (`encode_special_tokens` of the tokenizers library, and
`split_special_tokens` of transformers, leave the added tokens that are not special.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenizers import Tokenizer

from webfarer.types import FailureError

MARK = "·"  # goes after a control string's first character; no normalisation form changes it

# Unicode's other forms of "<", and what can hide between the parts of a tag (possessive: a long run
# of it is gone over once).
_OPEN = "<＜﹤"
_HIDDEN = r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e"
_HIDDEN += r"\u2060-\u206f\ufe00-\ufe0f\ufeff]*+"
_NAMES = "|".join(_HIDDEN.join(name) for name in ("think", "tool_call", "tool_response", "answer"))
_TAG = rf"[{_OPEN}](?={_HIDDEN}[/／]?{_HIDDEN}(?:{_NAMES})(?![a-z0-9])|{_HIDDEN}[|｜])"
_CONTROL = re.compile(_TAG, re.IGNORECASE)


def control_pattern(strings: Iterable[str]) -> re.Pattern[str]:
    """Matches the first character of whatever reads as control: the tags in any case and with
    white space or invisible characters in them, `<|`, and the given strings as they stand."""
    more = exact_pattern(s for s in strings if not _CONTROL.match(s)).pattern
    return re.compile(f"{_TAG}|{more}", re.IGNORECASE) if more else _CONTROL


def exact_pattern(strings: Iterable[str]) -> re.Pattern[str]:
    """Matches the first character of each of the strings."""
    return re.compile(
        "|".join(sorted(f"{re.escape(s[0])}(?={re.escape(s[1:])})" for s in strings if s))
    )


def escape(text: str, control: re.Pattern[str] = _CONTROL) -> str:
    """The text with every control string broken after its first character; idempotent."""
    return control.sub(lambda first: first.group() + MARK, text)


class Escaper:
    """Encodes untrusted text for one tokenizer, with no id of a control or added token in it.

    `forbidden` are those ids. The tokenizer's model, normalizer and pre-tokenizer are shared, not
    copied; nothing is changed in them.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        added = tokenizer.get_added_tokens_decoder()
        self.forbidden = frozenset(added)
        self._normalizer = tokenizer.normalizer
        self._plain = _without_added_tokens(tokenizer)
        special = {token.content for token in added.values() if token.special}
        special |= {self._normalize(text) for text in special}
        self._control = control_pattern(text for text in special if len(text.strip()) > 1)

    def escape(self, text: str) -> str:
        """The text as the tokenizer will normalise it, every control string in it broken.

        Where a tokenizer's normaliser makes a control string out of what was broken, only letters,
        digits and white space are left. Raises FailureError where even they spell one.
        """
        safe = escape(self._normalize(_unicode(text)), self._control)
        if self._normalizer is None or not self._control.search(self._normalize(safe)):
            return safe
        if found := self._control.search(self._normalize(words := _words(safe))):
            raise _cannot(found)
        return words

    def encode(self, text: str) -> list[int]:
        """Ids of the escaped text. Raises FailureError where they would spell a control string."""
        safe = self.escape(text)
        ids = self._ids(safe)
        if self.forbidden.isdisjoint(ids):
            return ids
        found = None
        for attempt in (safe, _words(safe)):  # the mark itself may be unknown to the model
            ids = self._finer(attempt)
            found = self._control.search(self._plain.decode(ids, skip_special_tokens=False))
            if found is None:
                return ids
        raise _cannot(found)

    def _finer(self, text: str) -> list[int]:
        """Where the model's own vocabulary leads to a forbidden id, goes character by character;
        a character that has no other id (an unknown one, say) is left out."""
        encoding = self._plain.encode(text, add_special_tokens=False)
        ids: list[int] = []
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            pieces = text[start:end] if token in self.forbidden else ""
            candidates = [token, *(i for piece in pieces for i in self._ids(piece))]
            ids.extend(i for i in candidates if i not in self.forbidden)
        return ids

    def _ids(self, text: str) -> list[int]:
        return self._plain.encode(text, add_special_tokens=False).ids

    def _normalize(self, text: str) -> str:
        return text if self._normalizer is None else self._normalizer.normalize_str(text)


def _cannot(found: re.Match[str] | None) -> FailureError:
    text = found.string[found.start() :][:20] if found else ""
    message = f"this tokenizer cannot encode page text without {text!r}: use another"
    return FailureError("engine", message)


def _words(text: str) -> str:
    return re.sub(r"[^\w\s]|_", " ", text)


def _unicode(text: str) -> str:
    """Half a surrogate pair has no UTF-8 and so no tokens: it becomes "?"."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    plain = Tokenizer(tokenizer.model)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if (value := getattr(tokenizer, part)) is not None:
            setattr(plain, part, value)
    return plain
