"""Learning rate: linear warm-up, then a cosine down to a floor (Loshchilov and Hutter 2017)."""

import math


def warmup_cosine(step: int, warmup: int, total: int, peak: float, floor: float) -> float:
    """The learning rate of step `step`, 0 to total - 1.

    Step 0 has peak / warmup, step warmup - 1 the peak; from step `warmup` (again the peak) a half
    cosine falls towards the floor, which step `total` would have. Raises ValueError where
    warm-up and total do not fit.
    """
    if not 0 <= warmup <= total:
        raise ValueError(f"warm-up of {warmup} steps does not fit {total} steps")
    if step < warmup:
        return peak * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, total - warmup))
    return floor + (peak - floor) * 0.5 * (1.0 + math.cos(math.pi * share))
