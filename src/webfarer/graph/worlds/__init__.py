"""Procedural worlds, in English and in Chinese."""
