"""Running a program to its end: the host's streams passed through, the guest's exit status for an answer."""
