"""Webs to act in: a site made from a graph, and what any page is read with."""
