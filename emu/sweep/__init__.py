"""Many Worlds, one table: boots of the product of what varies, on every core or on a cluster, kept for SQL."""
