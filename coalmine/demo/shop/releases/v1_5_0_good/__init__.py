"""Release 1.5.0 without its bugs."""
