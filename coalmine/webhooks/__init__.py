"""Webhooks tried out, received, looked up and sent again: what ``coalmine webhook`` moves."""
