"""Reading the dumps that graphs are published in."""
