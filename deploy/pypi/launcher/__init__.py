"""Mainstay: a program. `python -m mainstay_server` runs it, as the command `mainstay` does."""
