"""Crash fingerprints: which crashes are one crash group."""
