"""Graders by rule, gold answers of a graph, and the reward. Pure functions: no I/O, no globals."""

from webfarer.grade.gold import gold_answer
from webfarer.grade.reward import format_ok, reward, reward_of
from webfarer.grade.rules import RuleGrader, check_gold, equivalent

__all__ = [
    "RuleGrader",
    "check_gold",
    "equivalent",
    "format_ok",
    "gold_answer",
    "reward",
    "reward_of",
]
