"""The command ``rt0``: parse, one call, print."""
