"""Tables of a sweep: intervals, what is charged, and when a quality is reached, by hand."""

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rl_cell import Cost, Plan, Point, Result, Variant, cell_settings
from rl_sweep import SWEEPS, cell_of, claimed
from rl_table import Line, costs, equal, lines_of, quality, reached, spread

from webfarer.algo import ALGORITHMS, row_of
from webfarer.types import BadInput
from webfarer.types.report import Reading, Score


def result(variant: str, seed: int, greedy: float, second: float, curve: tuple[float, ...]):
    rates = {"n": 10, "greedy": greedy, "pass_at_1": greedy, "n_greedy": 10}
    score = Score(**rates, policy=variant, k=3, attempts=10, failures=0, unjudged=0,
                  as_wrong=Reading(**rates))  # fmt: skip
    points = tuple(Point(step=2 * at, greedy=value) for at, value in enumerate(curve))
    steps = tuple(Cost(attempts=10, tokens=1000, seconds=second) for _ in range(4))
    return Result(variant=variant, seed=seed, score=score, steps=steps, curve=points,
                  prefilter=Cost(attempts=20, tokens=2000, seconds=8.0))  # fmt: skip


def test_a_t_interval_by_hand():
    # 1, 2, 3: deviation 1, 4.303 / sqrt(3) with two degrees of freedom.
    assert spread([1.0, 2.0, 3.0]) == pytest.approx(4.303 / math.sqrt(3))
    assert math.isnan(spread([1.0]))


def test_a_quality_is_reached_between_points():
    curve = [(0, 0.5), (5, 0.4), (10, 0.8)]
    assert reached(curve, 0.5) == 0.0
    assert reached(curve, 0.6) == pytest.approx(7.5)
    assert reached(curve, 0.9) is None


def test_a_variant_with_a_pre_filter_is_shown_shared_and_charged():
    variants = [Variant("dupo", {"algorithm": "dupo"}, prefiltered=True),
                Variant("dapo", {"algorithm": "dapo"})]  # fmt: skip
    done = [result("dupo", seed, 0.6 + seed / 10, 1.0, (0.5, 0.6, 0.7)) for seed in (1, 2)]
    done += [result("dapo", seed, 0.6, 3.0, (0.5, 0.5, 0.6)) for seed in (1, 2)]
    lines = lines_of(variants, done)
    assert [line.name for line in lines] == [
        "dupo, pre-filter shared", "dupo, pre-filter charged", "dapo"
    ]  # fmt: skip
    shared, charged, dapo = costs(lines, "dupo")[1:]
    assert (shared[1], shared[7], shared[10]) == ("40", "1.00 ± 0.00", "4")
    assert (charged[1], charged[10]) == ("60", "12")  # 4 x 10 + 20 attempts, 4 x 1 + 8 s
    assert charged[11] == "3.00 ± 0.00"  # 12 s over 4
    assert dapo[8] == "3.00 ± 0.00"  # three times the seconds of a step
    # DAPO ends at 60%, where it is after all 4 steps and 12 s, DUPO after 2: 2 s, or 10 charged.
    alone, with_filter, slow = equal(lines, "dupo")[1:]
    assert alone[1:3] == with_filter[1:3] == ("70.0", "4.0")
    assert slow[1:] == ("60.0", "4.0", "40", "0.00", "12 [12 to 12]", "6.00", "1.20")
    # Differences are paired by seed: -10 and -20 points, whose mean is -15; 12.706 x 5 around it.
    table = quality(lines, "dupo")
    assert table[2][0] == "dapo"
    assert table[2][7] == "-15.0 ± 63.5"


def test_sweeps_change_only_what_they_say():
    for name, sweep in SWEEPS.items():
        variants = sweep()
        plan = Plan(sweep=name, run="run", learning_rate=1e-4, steps=7)
        assert len({cell_of(Path("out"), each, 1) for each in variants}) == len(variants)
        for variant in (each for each in variants if each.settings):
            settings = cell_settings(plan, variant)
            assert (settings.learning_rate, settings.steps) == (1e-4, 7)
            row_of(settings)  # raises where a change does not suit the row
    rows = {each.name: row_of(cell_settings(plan, each)) for each in SWEEPS["ablate"]()}
    assert rows["dapo"] == ALGORITHMS["dapo"]
    assert rows["no clip-higher"].clip == (0.2, 0.2)
    assert not rows["no dynamic sampling"].refill
    assert rows["no overlong punishment"].overlong == "none"
    changed = [sum(getattr(row, f) != getattr(rows["dapo"], f) for f in row.__slots__)
               for row in rows.values()]  # fmt: skip
    assert changed == [0, 1, 2, 1, 1]  # dynamic sampling is two: selection and refill


def test_another_plan_is_refused(tmp_path):
    plan = Plan(sweep="cold", run="run")
    assert claimed(plan, tmp_path) == claimed(plan, tmp_path)
    with pytest.raises(BadInput, match="another steps"):
        claimed(plan.model_copy(update={"steps": 5}), tmp_path)


def test_a_line_is_charged_up_to_a_step():
    line = Line("dupo", Variant("dupo", {"algorithm": "dupo"}), (), charged=True)
    cost = line.until(result("dupo", 1, 0.5, 2.0, (0.1, 0.2)), 3)
    assert (cost.attempts, cost.seconds) == (50, 14.0)  # 3 x 10 + 20, 3 x 2 + 8
