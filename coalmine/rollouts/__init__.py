"""Rollouts as people see them: drawn in a terminal, told in order of time, overridden."""
