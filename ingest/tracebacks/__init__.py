"""Stack traces in text to exception and frames: one module per family of runtimes, pure."""
