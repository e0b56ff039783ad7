import math

import numpy as np
import pytest

from webfarer.evals.bootstrap import intervals, paired_interval, resample
from webfarer.types import BadInput


def column(values):
    return np.asarray(values, dtype=float)[:, None]


def test_interval_agrees_with_the_normal_approximation_on_600_tasks():
    values = column([1.0] * 360 + [0.0] * 240)
    (interval,) = intervals(values, np.ones_like(values), "normal")
    assert interval is not None
    half = 1.96 * math.sqrt(0.6 * 0.4 / 600)  # the binomial's normal approximation
    assert interval == pytest.approx((0.6 - half, 0.6 + half), abs=0.004)


def test_95_percent_intervals_cover_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(300):
        values = column(rng.random(100) < 0.7)
        (interval,) = intervals(values, np.ones_like(values), trial, resamples=500)
        assert interval is not None
        hits += interval[0] <= 0.7 <= interval[1]
    assert 0.90 <= hits / 300 <= 0.985  # 0.95 give or take three standard errors, and skew


def test_clustering_by_task_is_wider_than_pretending_that_samples_are_apart():
    # 50 tasks of 8 samples that agree within a task: 50 independent numbers, not 400.
    tasks = np.array([1.0, 0.0] * 25)
    by_task, pretended = column(tasks), column(np.repeat(tasks, 8))
    (honest,) = intervals(by_task, np.ones_like(by_task), "a")
    (naive,) = intervals(pretended, np.ones_like(pretended), "a")
    assert honest is not None
    assert naive is not None
    ratio = (honest[1] - honest[0]) / (naive[1] - naive[0])
    assert ratio == pytest.approx(math.sqrt(8), rel=0.15)


def test_ratios_weigh_by_their_denominators_and_share_their_draws():
    top, bottom = np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([[2.0, 1.0], [4.0, 1.0]])
    ratios = resample(top, bottom, 0, resamples=200)
    assert ratios.shape == (200, 2)
    assert set(ratios[:, 0]) == {0.5}  # both tasks have it, however often each is drawn
    assert set(ratios[:, 1]) == {1.0, 1.5, 2.0}  # the three mixes of two tasks


def test_edges_of_intervals():
    none = np.zeros((3, 1))
    assert intervals(none, none, 0) == [None]
    assert intervals(column([0.25]), column([1.0]), 0) == [(0.25, 0.25)]
    (some,) = intervals(column([1, 0, 0]), column([1, 0, 0]), 0)  # most resamples hold nothing
    assert some == (1.0, 1.0)
    with pytest.raises(BadInput, match="no tasks"):
        intervals(np.zeros((0, 1)), np.zeros((0, 1)), 0)


def test_same_key_same_interval_other_key_another():
    values = column(np.arange(40) % 3 == 0)
    ones = np.ones_like(values)
    assert intervals(values, ones, "a") == intervals(values, ones, "a")
    assert not np.array_equal(resample(values, ones, "a"), resample(values, ones, "b"))


def test_pairing_is_narrower_where_the_policies_fail_on_the_same_tasks():
    theirs = [1.0, 0.0] * 100
    ours = [1.0, 0.0] * 90 + [1.0, 1.0] * 10
    low, high = paired_interval(ours, theirs, 0)
    assert low <= 0.05 <= high  # 10 of 200 tasks were gained
    # by hand: sd of the differences sqrt(.05 * .95) = .218, over sqrt(200), times 1.96 = .030
    assert (high - low) / 2 == pytest.approx(0.030, abs=0.004)
    assert paired_interval(theirs, theirs, 0) == (0.0, 0.0)


def test_pairing_refuses_what_cannot_be_paired():
    with pytest.raises(BadInput, match="2 tasks against 1"):
        paired_interval([1.0, 0.0], [1.0], 0)
    with pytest.raises(BadInput, match="no tasks"):
        paired_interval([], [], 0)
