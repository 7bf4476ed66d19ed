"""Release 1.4.2."""
