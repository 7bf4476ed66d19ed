"""Lines to records: one module per format, pure, in batches."""
