"""Whole-process comparisons with other tools on the same machine: ``python -m bench``, or ``make bench``."""
