"""Where a generation stops: ids, and strings that may end inside a token.

Decoding after every token would cost more than the model. A stop string can only be completed by a
token whose text holds the string's last character, so those tokens are found once and only they
cause a look at the decoded tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

Key = tuple[tuple[str, ...], tuple[int, ...]]
_SPARE = 32  # tokens of tail beyond the string's bytes: some tokens decode to nothing


class Stops:
    """Tables of tokens worth looking at, one for each combination of stop strings and ids."""

    def __init__(self, vocabulary: int, tokenizer: Tokenizer | None) -> None:
        self._tokenizer = tokenizer
        self._keys: dict[Key, int] = {}
        self._texts: list[str] | None = None
        self.tables = np.zeros((0, vocabulary), dtype=bool)

    def table(self, stop: tuple[str, ...], stop_ids: tuple[int, ...]) -> int:
        """The number of the combination's table. Raises ValueError where it cannot be honoured."""
        key = (stop, stop_ids)
        if key not in self._keys:
            self.tables = np.vstack([self.tables, self._make(stop, stop_ids)[None]])
            self._keys[key] = len(self.tables) - 1
        return self._keys[key]

    def _make(self, stop: tuple[str, ...], stop_ids: tuple[int, ...]) -> np.ndarray:
        table = np.zeros(self.tables.shape[1], dtype=bool)
        for token in stop_ids:
            if not 0 <= token < len(table):
                raise ValueError(f"stop id {token} is outside the vocabulary of {len(table)}")
            table[token] = True
        if stop and self._tokenizer is None:
            raise ValueError("stop strings need the engine to have a tokenizer")
        for text in stop:
            if not text:
                raise ValueError("an empty stop string would stop everywhere")
            completes = [_may_complete(token, text[-1]) for token in self._decoded()]
            table[: len(completes)] |= np.array(completes[: len(table)], dtype=bool)
        return table

    def _decoded(self) -> list[str]:
        assert self._tokenizer is not None
        if self._texts is None:
            size = self._tokenizer.get_vocab_size(with_added_tokens=True)
            each = [[token] for token in range(size)]
            self._texts = self._tokenizer.decode_batch(each, skip_special_tokens=False)
        return self._texts

    def holds(self, ids: Sequence[int], stop: tuple[str, ...]) -> bool:
        """Whether the text of the ids ends in, or just went beyond, one of the strings."""
        if not stop or self._tokenizer is None:
            return False
        tail = max(len(text.encode()) for text in stop) + _SPARE
        decoded = self._tokenizer.decode(list(ids[-tail:]), skip_special_tokens=False)
        return any(text in decoded for text in stop)

    def reason(
        self, ids: Sequence[int], stop: tuple[str, ...], stop_ids: tuple[int, ...]
    ) -> Literal["stop_id", "stop_string"] | None:
        """Why the generation ends with its last token, or None."""
        if ids[-1] in stop_ids:
            return "stop_id"
        return "stop_string" if self.holds(ids, stop) else None


def _may_complete(token: str, last: str) -> bool:
    """A character may be split over tokens (decoded as U+FFFD); a space may be lost in decoding."""
    return last in token or last.isspace() or (not last.isascii() and "\ufffd" in token)
