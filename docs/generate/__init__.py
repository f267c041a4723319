"""The generated pages: prose by hand, every figure from the record of a boot.

A page ``docs/NAME.md`` is made of ``docs/generate/NAME.md.in``, whose placeholders name values of records; ``make
docs`` writes the pages and a test holds the committed ones against a fresh rendering.
"""
