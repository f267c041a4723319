"""Compare what happened: two records with each other, or an emulated run with a native one."""
