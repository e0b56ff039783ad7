"""Webfarer: web-research agents, end to end. Worlds, tasks, trajectories, cold start, scores."""

__version__ = "0.1.0"
