"""The local stack: Kafka, Elasticsearch and Coalmine's own processes."""
