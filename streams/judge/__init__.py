"""Evidence: is the canary worse than its baseline, and how sure is that."""
