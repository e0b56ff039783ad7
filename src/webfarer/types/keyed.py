"""Random numbers keyed by what they are for, so that order and concurrency do not matter."""

import hashlib
import random

Key = int | str


def seed_for(*key: Key) -> int:
    """A 63-bit seed from a key such as (seed, step, task, member, position).

    The same key gives the same seed on every machine and Python (SHA-256 of its parts); parts are
    typed, so 1 and "1" differ, and separated, so ("ab", "c") and ("a", "bc") differ.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def random_for(*key: Key) -> random.Random:
    """A generator of its own for a key; see `seed_for`."""
    return random.Random(seed_for(*key))
