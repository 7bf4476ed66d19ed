"""Decisions leave as signed, retried, recorded webhooks; ``pipeline.py`` shows the order."""
