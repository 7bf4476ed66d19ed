"""Aggregation: telemetry batches to partials, partials to ticks and windows."""
