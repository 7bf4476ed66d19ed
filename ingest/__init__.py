"""The shipping agent: sources, parsers, batches, Kafka."""
