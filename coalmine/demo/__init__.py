"""The demo: a shop, its load, and a bad canary."""
