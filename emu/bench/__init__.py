"""What start-up costs, exactly: recordings, their comparison, and the formats that other tools read."""
