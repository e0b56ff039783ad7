"""What people look at."""

from webfarer.view.report import render

__all__ = ["render"]
