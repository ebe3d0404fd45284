"""Mainstay: a program. `python -m mainstay` runs it, as `mainstay` does."""
