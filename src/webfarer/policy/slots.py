"""`Slots`: which sequences the cache holds, in which row, and whom they serve.

A slot is a sequence: the ids whose keys and values are cached, plus (while a request is served) the
one id not yet fed. It keeps its number; the cache row it lies in may change, since requests being
served are kept in rows 0..n-1. An idle slot stays warm until its place is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from webfarer.policy.engine import Sampling

_DISORDER = 1.2  # reading so much more than needed is cheaper than moving rows

Moves = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows to, rows from, positions of each


@dataclass(frozen=True, slots=True)
class Match:
    """The slot that shares most with a prompt, and how many of its first ids."""

    slot: int
    shared: int


class Slots:
    """Arrays over slots S; `row_S` is -1 where a slot has no row (memory is short)."""

    def __init__(self, slots: int, context: int) -> None:
        self.tokens_ST = np.zeros((slots, context + 1), dtype=np.int32)
        self.logprobs_ST = np.zeros((slots, context + 1), dtype=np.float32)
        self.cached_S = np.zeros(slots, dtype=np.int64)  # ids whose keys and values are there
        self.known_S = np.zeros(slots, dtype=np.int64)  # those, and the ones about to be
        self.row_S = np.full(slots, -1, dtype=np.int64)
        self.used_S = np.zeros(slots, dtype=np.int64)  # a clock for the least recently used
        self.prompt_S = np.zeros(slots, dtype=np.int64)  # length of the prompt being served
        self.end_S = np.zeros(slots, dtype=np.int64)  # prompt + max_tokens
        self.seed_S = np.zeros(slots, dtype=np.uint64)
        self.temperature_S = np.zeros(slots, dtype=np.float32)
        self.top_p_S = np.ones(slots, dtype=np.float32)
        self.top_k_S = np.zeros(slots, dtype=np.int64)
        self.table_S = np.zeros(slots, dtype=np.int64)
        self.live_S = np.zeros(slots, dtype=bool)
        self.owner: list[Any] = [None] * slots
        self.slot_of_row = np.zeros(0, dtype=np.int64)
        self.clock = 0

    @property
    def live(self) -> int:
        return int(self.live_S.sum())

    def match(self, prompt: np.ndarray) -> Match:
        """Most shared ids; at most all but the prompt's last one, which has yet to be fed.

        Of equal matches the idle slot with the least beyond it wins.
        """
        limit = len(prompt) - 1
        candidates = np.flatnonzero((self.known_S > 0) & (self.row_S >= 0))
        if not len(candidates) or not limit:
            return Match(-1, 0)
        known = self.known_S[candidates]
        width = min(int(known.max()), limit)
        same = self.tokens_ST[candidates, :width] == prompt[:width]
        shared = np.where(same.all(axis=1), width, same.argmin(axis=1))
        shared = np.minimum(shared, known)
        order = np.lexsort((known, self.live_S[candidates], -shared))
        return Match(int(candidates[order[0]]), int(shared[order[0]]))

    def extended_by(self, prompt: np.ndarray) -> int:
        """The idle slot with the most ids that are all a prefix of the prompt, or -1."""
        last = np.maximum(self.cached_S - 1, 0)
        inside = (self.cached_S > 0) & (self.cached_S < len(prompt)) & ~self.live_S
        ends = (
            self.tokens_ST[np.arange(len(last)), last] == prompt[np.minimum(last, len(prompt) - 1)]
        )
        candidates = np.flatnonzero(inside & ends & (self.row_S >= 0))
        for slot in candidates[np.argsort(-self.cached_S[candidates], kind="stable")]:
            n = self.cached_S[slot]
            if np.array_equal(self.tokens_ST[slot, :n], prompt[:n]):
                return int(slot)
        return -1

    def spare(self) -> int:
        """An empty slot, else the one idle the longest, else -1."""
        free = np.flatnonzero(~self.live_S & (self.row_S >= 0))
        if not len(free):
            return -1
        order = np.lexsort((self.used_S[free], self.cached_S[free] > 0))
        return int(free[order[0]])

    def serve(
        self, slot: int, owner: Any, prompt: np.ndarray, sampling: Sampling, kept: int, table: int
    ) -> None:
        """The slot is a request's from now on; the first `kept` ids of its prompt are cached."""
        self.live_S[slot] = True
        self.owner[slot] = owner
        self.tokens_ST[slot, : len(prompt)] = prompt
        self.cached_S[slot] = kept
        self.known_S[slot] = len(prompt) - 1
        self.prompt_S[slot] = len(prompt)
        self.end_S[slot] = len(prompt) + sampling.max_tokens
        self.seed_S[slot] = sampling.seed % 2**64
        self.temperature_S[slot] = sampling.temperature
        self.top_p_S[slot] = sampling.top_p
        self.top_k_S[slot] = sampling.top_k
        self.table_S[slot] = table

    def forget(self, slot: int, keep: int = 0) -> None:
        """Only the first `keep` ids of the slot count as cached from now on."""
        self.cached_S[slot] = self.known_S[slot] = min(keep, int(self.cached_S[slot]))

    def release(self, slot: int) -> None:
        """The request is done; the slot stays warm."""
        self.live_S[slot] = False
        self.owner[slot] = None
        self.known_S[slot] = self.cached_S[slot]
        self.clock += 1
        self.used_S[slot] = self.clock

    def relayout(self, rows: int) -> list[int]:
        """Deals out `rows` rows, live slots first, then the warm ones last used, then the rest.

        Returns the old rows of those that stay, in their new order; what has no row is forgotten.
        """
        order = np.lexsort((-self.used_S, self.cached_S == 0, ~self.live_S))
        chosen = order[:rows]
        had = [int(self.row_S[slot]) for slot in chosen if self.row_S[slot] >= 0]
        # Those that never had a row hold nothing, so they sort last and the kept rows are a prefix.
        for slot in order[rows:]:
            self.forget(int(slot))
        self.row_S[:] = -1
        self.row_S[chosen] = np.arange(len(chosen))
        self.slot_of_row = chosen.copy()
        return had

    def compact(self) -> Moves:
        """Brings the live slots into rows 0..n-1; returns the moves to make."""
        n = self.live
        inside = self.live_S[self.slot_of_row]
        holes = np.flatnonzero(~inside[:n])
        outside = n + np.flatnonzero(inside[n:])
        return self._move(np.concatenate([holes, outside]), np.concatenate([outside, holes]))

    def arrange(self, size: int) -> Moves:
        """Brings live slots of similar length together, longest first, `size` neighbours a share.

        A share is read as far as its longest row goes. Where that is little more than it would be
        in order, nothing moves; else only what is in another share than it would be.
        """
        n = self.live
        length_B = self.cached_S[self.slot_of_row[:n]]
        share_B = np.arange(n) // size
        order = np.argsort(-length_B, kind="stable")
        reads, least = _reach(length_B, share_B), _reach(length_B[order], share_B)
        if reads <= least * _DISORDER:
            return self._move(order[:0], order[:0])
        home_B = np.empty(n, dtype=np.int64)
        home_B[order] = share_B
        moving = np.flatnonzero(home_B != share_B)
        return self._move(moving, moving[np.argsort(home_B[moving], kind="stable")])

    def _move(self, to: np.ndarray, source: np.ndarray) -> Moves:
        moved = self.slot_of_row[source]
        self.slot_of_row[to] = moved
        self.row_S[moved] = to
        return to, source, self.cached_S[moved]

    def clear(self) -> None:
        """Forgets every sequence, every row, and which of them were used last."""
        self.cached_S[:] = 0
        self.known_S[:] = 0
        self.row_S[:] = -1
        self.used_S[:] = 0
        self.clock = 0
        self.slot_of_row = np.zeros(0, dtype=np.int64)


def _reach(length_B: np.ndarray, share_B: np.ndarray) -> int:
    """Positions read where every share is read as far as its longest row."""
    longest = np.zeros(int(share_B[-1]) + 1 if len(share_B) else 0, dtype=np.int64)
    np.maximum.at(longest, share_B, length_B)
    return int(longest[share_B].sum())
