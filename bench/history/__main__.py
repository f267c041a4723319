"""``python -m bench.history [NAME...]``: record every program of the history anew, or those named."""

import sys

from bench.history import LARGER, RELEASES, file, record

if __name__ == "__main__":
    for name in sys.argv[1:] or (*RELEASES, *LARGER):
        made, target = record(name), file(name)
        old = target.read_text() if target.exists() else ""
        target.write_text(made)
        sys.stdout.write(f"{name}: {'as before' if made == old else 'new'}\n")
