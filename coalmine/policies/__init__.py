"""Policies as code: budgets that can work, unit tests, a first policy, what a change would do."""
