"""How each runtime writes a stack trace, and what it generates into names: one module a family."""
