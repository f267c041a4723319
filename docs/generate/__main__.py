"""``python -m docs.generate``: rewrite the generated pages."""

import sys

from docs.generate.pages import write

if __name__ == "__main__":
    for name in write():
        sys.stdout.write(f"{name} is new\n")
