"""Release 1.5.0, with its bugs."""
