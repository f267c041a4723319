"""What a user reads, and under ``generate`` what makes its figures."""
