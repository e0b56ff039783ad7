"""Graphs too large for memory: arrays on disk, walked where they lie."""
