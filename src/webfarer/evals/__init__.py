"""Scores that can be trusted: metrics, intervals, reports."""

from webfarer.evals.behaviour import answer_in, behaviour
from webfarer.evals.metrics import compare, majority, pass_at_k, score
from webfarer.evals.report import build_report, read, table, to_json, write

__all__ = [
    "answer_in", "behaviour", "build_report", "compare", "majority", "pass_at_k", "read", "score",
    "table", "to_json", "write",
]  # fmt: skip
