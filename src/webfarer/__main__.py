"""`webfarer`: the entry, where command line, screens and recipes meet.

The three do not import one another; here the command line is given the other two.
"""

from webfarer.cli.app import Parts, main_with
from webfarer.recipes import load_recipe
from webfarer.view.report import render


def main() -> None:
    """Runs the command line and exits with its code: 0, 1 for a failure, 2 for bad input."""
    main_with(Parts(render=render, load_recipe=load_recipe))


if __name__ == "__main__":
    main()
