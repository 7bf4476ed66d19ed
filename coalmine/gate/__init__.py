"""The gate: a pipeline waits here until a release is found healthy, or is not."""
